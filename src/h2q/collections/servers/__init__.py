"""What the engines on servers share."""
