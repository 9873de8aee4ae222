// In which order all items are shown, and how large: both are in the address.

import { html, useEffect, useMemo, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { shuffled } from "./points.js";

export const SIZES = { small: 0.62, "": 1, large: 1.5 };

// "": as added. "newest": the other way round. "shuffled-7": by chance, the same again for the same number.
export function arranged(places, order) {
  if (order === "newest") return Array.from(places).reverse();
  const seed = Number(order.split("-")[1]);
  return seed ? Array.from(shuffled(places.length, seed), (at) => places[at]) : places;
}

// All places that meet a condition, in another order than that of adding; null where it is that, or until they are there.
export function useArranged(order, where, stamp, onError) {
  const [found, setFound] = useState(null);
  const name = JSON.stringify(where);
  useEffect(() => {
    setFound(null);
    if (!order || !stamp) return undefined;
    let live = true;
    api.mask(where).then((answer) => {
      if (!live) return;
      const places = [];
      api.bytes(answer.mask).forEach((meets, place) => { if (meets) places.push(place); });
      setFound({ places, stamp: answer.stamp });
    }, onError);
    return () => { live = false; };
  }, [Boolean(order), name, stamp]);
  return useMemo(() => found && order ? { places: arranged(found.places, order), stamp: found.stamp } : null, [found, order]);
}

const again = () => `shuffled-${1 + Math.floor(Math.random() * 999999)}`;

export function Arrange({ state, go, asking }) {
  const shuffling = state.order.startsWith("shuffled");
  return html`<span class="row arrange">
    ${!asking && html`<label class="line"><span class="quiet">Order</span> <select value=${shuffling ? "shuffled" : state.order} onChange=${(e) => go({ order: e.target.value === "shuffled" ? again() : e.target.value })}>
      <option value="">as added</option><option value="newest">newest first</option><option value="shuffled">shuffled</option></select></label>
      ${shuffling && html`<button aria-label="Shuffle again" title="Shuffle again" onClick=${() => go({ order: again() })}>↻</button>`}`}
    <label class="line"><span class="quiet">Size</span> <select value=${state.size} onChange=${(e) => go({ size: e.target.value })}>
      <option value="small">small</option><option value="">medium</option><option value="large">large</option></select></label></span>`;
}
