// About the collection: what it is, what its codes look like, what a search costs.

import { html, useEffect, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { Axis, Histogram } from "./filters.js";

const bytes = (n) => {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let place = 0;
  while (n >= 1000 && place < units.length - 1) { n /= 1000; place++; }
  return `${place ? n.toPrecision(3) : n} ${units[place]}`;
};

function Balance({ shares }) {
  return html`<div class="balance" role="img" aria-label=${`Share of items with each of ${shares.length} bits set; one half is best`}>
    ${shares.map((share, bit) => html`<span key=${bit} title=${`bit ${bit}: ${(100 * share).toFixed(1)} %`}
      style=${{ height: `${Math.max(1, 100 * share)}%` }}></span>`)}</div>`;
}

export function About({ info, onError }) {
  const [stats, setStats] = useState(null);
  const [encoder, setEncoder] = useState(info.encoder);
  useEffect(() => {
    api.stats().then(setStats, onError);
    api.info().then((fresh) => setEncoder(fresh.encoder), onError); // it is loaded after the first look
  }, [info.count]);
  const s = stats?.statistics ?? {};
  const percent = (v) => (v == null ? "–" : `${(100 * v).toFixed(v > 0 && v < 1e-3 ? 4 : 1)} %`);
  const number = (v, digits = 2) => (v == null ? "–" : v.toFixed(digits));
  const facts = [
    ["Items", info.count.toLocaleString()],
    ["Bits a code", `${info.n_bits} (${Math.ceil(info.n_bits / 8)} bytes)`],
    ["Codes in all", bytes(info.count * Math.ceil(info.n_bits / 8))],
    ["On disk", bytes(info.size_bytes)],
    ...(info.photos ? [["Model", encoder ?? "not loaded yet"]] : []),
    ["Engine", info.engine], ["Index", info.index], ["Kept of each row", info.keep],
    ["Made by", `h2q ${info.created_by}, format ${info.format_version}`],
    ...Object.entries(info.fingerprints).map(([name, mark]) => [`Fingerprint of the ${name}`, mark.slice(0, 12)]),
  ];
  return html`<section class="about">
    <h1 class="title">About ${info.name}</h1>
    <dl>${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <h2>The codes</h2>
    ${!stats ? html`<p class="quiet">Counting bits …</p>` : !stats.balance.length ? html`<p class="quiet">There are too few items to say anything.</p>` : html`
    <dl>
      <div><dt>Distinct codes</dt><dd>${(s.distinct ?? 0).toLocaleString()}</dd></div>
      <div><dt>Entropy of a bit (1 is best)</dt><dd>${number(s.bit_entropy, 3)}</dd></div>
      <div><dt>Constant bits</dt><dd>${s.constant_bits}</dd></div>
      <div><dt>Mean correlation of two bits (0 is best)</dt><dd>${number(s.correlation, 3)}</dd></div>
      <div><dt>Pairs with the same code</dt><dd>${percent(s.collision_rate)}</dd></div>
      <div><dt>One search by code</dt><dd>${number(stats.search_milliseconds)} ms</dd></div>
    </dl>
    <h3>Balance of each bit</h3><${Balance} shares=${stats.balance} />
    <h3>Distances of pairs, drawn at random</h3>
    <${Histogram} counts=${stats.histogram} radius=${null} label="Pairs at each distance, on a logarithmic scale" />
    <${Axis} nBits=${info.n_bits} />`}
    <h2>Ranks</h2>
    <dl>${info.ranks.map((rank) => html`<div key=${rank.name}><dt>${rank.name}</dt><dd>${rank.text}</dd></div>`)}</dl>
    <p class="quiet">For programs: <a href="/openapi.json">the description of the API</a>, <a href="/metrics">metrics</a>.</p>
  </section>`;
}
