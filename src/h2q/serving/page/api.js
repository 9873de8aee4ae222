// Calls of the API, one function each; an error has the server's message.

export class ApiError extends Error {
  constructor(message, status, kind) {
    super(message);
    this.status = status;
    this.kind = kind;
  }
}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Is `h2q serve` still running?", 0, "Offline");
  }
  if (response.ok) return response.json();
  let message = `The server answered ${response.status}.`;
  let kind = "HttpError";
  try {
    const body = await response.json();
    message = body.error.message;
    kind = body.error.kind;
  } catch { /* no body of ours: the status says enough */ }
  throw new ApiError(message, response.status, kind);
}

const post = (path, body, options = {}) =>
  ask(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...options,
  });

const key = (text) => text.split("/").map(encodeURIComponent).join("/");
const only = (where) => (where ? `&where=${encodeURIComponent(JSON.stringify(where))}` : "");

export const info = () => ask("/api/v1/info");
export const stats = () => ask("/api/v1/stats");
export const facets = (where) => post("/api/v1/facets", { where });
export const search = (body, signal) => post("/api/v1/search", { ...body, overview: true }, { signal });
export const items = (offset, limit, where) =>
  ask(`/api/v1/items?offset=${offset}&limit=${limit}${only(where)}`);
export const at = (places, stamp) => post("/api/v1/items/at", { places, stamp });
export const item = (k) => ask(`/api/v1/items/${key(k)}`);
export const remove = (keys) => post("/api/v1/items/remove", { keys });
export const upload = (blob) => ask("/api/v1/queries", { method: "POST", body: blob });
export const session = (k) => post("/api/v1/session", { key: k });
export const map = (method) => ask(`/api/v1/map?method=${method}`);
export const mask = (where) => post("/api/v1/map/mask", { where });
export const colours = (facet) => ask(`/api/v1/map/colours?facet=${encodeURIComponent(facet)}`);
export const duplicates = (offset, limit) => ask(`/api/v1/duplicates?offset=${offset}&limit=${limit}`);
export const plan = (body) => post("/api/v1/duplicates/plan", body);

export const thumbnail = (k) => `/api/v1/thumbnails/${key(k)}`;
export const photo = (k) => `/api/v1/photos/${key(k)}`;
export const asked = (token) => `/api/v1/queries/${token}`;

export function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}
