// Groups of duplicates to go through by keyboard; the result is a plan, and no file is changed here.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";

export function Duplicates({ onError }) {
  return html`<section class="dups"><h2>Duplicates</h2></section>`;
}
