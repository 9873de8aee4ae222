// The page: one state, kept in the address; everything shown follows from it.

import { html, render, useCallback, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { START, condition, read, write } from "./address.js";
import { Grid, Bits, nameOf } from "./grid.js";
import { Facets, Radius, titleOf } from "./filters.js";
import { CollectionMap, colourOf, placesInside, useCoordinates } from "./map.js";
import { Duplicates } from "./duplicates.js";
import { About } from "./about.js";

const PAGE = 100;
const VIEWS = [["photos", "Items"], ["map", "Map"], ["duplicates", "Duplicates"], ["about", "About"]];

function useAddress() {
  const [state, setState] = useState(() => read(location.search));
  useEffect(() => {
    const back = () => setState(read(location.search));
    window.addEventListener("popstate", back);
    return () => window.removeEventListener("popstate", back);
  }, []);
  const go = useCallback((change, { replace = false } = {}) => {
    setState((old) => {
      const next = { ...old, ...change };
      const target = write(next);
      if (target !== (location.search || "/")) history[replace ? "replaceState" : "pushState"](null, "", target);
      return next;
    });
  }, []);
  return [state, go];
}

// Stretches of the collection, loaded when they come near the view.
function useStretches(where, stamp, onError) {
  const [, redraw] = useState(0);
  const [total, setTotal] = useState(null);
  const name = JSON.stringify(where);
  // Made while rendering: the effects of the grid, which ask for stretches, run before those here.
  const pages = useMemo(() => new Map(), [name, stamp]);
  const current = useRef(pages);
  current.current = pages;
  useEffect(() => { setTotal(null); load(0); }, [name, stamp]);
  const load = (page) => {
    if (pages.has(page)) return;
    const mine = pages;
    mine.set(page, []);
    api.items(page * PAGE, PAGE, where).then((found) => {
      if (current.current !== mine) return;
      mine.set(page, found.items);
      setTotal(found.total);
      redraw((n) => n + 1);
    }, (error) => { mine.delete(page); onError(error); });
  };
  const need = useCallback((from, to) => {
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(from, to - 1) / PAGE); page++) load(page);
  }, [name, stamp]);
  const get = (place) => pages.get(Math.floor(place / PAGE))?.[place % PAGE];
  return { total, get, need };
}

// What lies inside the lasso, loaded likewise.
function usePlaces(places, stamp, onError) {
  const [, redraw] = useState(0);
  const found = useMemo(() => new Map(), [places, stamp]);
  const need = useCallback((from, to) => {
    if (!places) return;
    const wanted = places.slice(from, to).filter((p) => !found.has(p)).slice(0, 1000);
    if (!wanted.length) return;
    wanted.forEach((p) => found.set(p, undefined));
    api.at(wanted, stamp).then((answer) => {
      for (const item of answer.items) found.set(item.place, item);
      redraw((n) => n + 1);
    }, onError);
  }, [places, stamp]);
  return { need, get: (place) => found.get(places?.[place]) };
}

function KeyDialog({ onDone, wrong }) {
  const [text, setText] = useState("");
  const [error, setError] = useState("");
  const send = async (event) => {
    event.preventDefault();
    try { await api.session(text.trim()); onDone(); } catch (e) { setError(e.message); }
  };
  return html`<main class="key"><form onSubmit=${send}>
    <h1>This collection needs a key</h1>
    <p>Whoever started the server has it. It is kept in this browser only, out of reach of scripts.</p>
    <label>API key <input type="password" autocomplete="current-password" value=${text} onInput=${(e) => setText(e.target.value)} autofocus /></label>
    <button class="main">Enter</button>
    ${(error || wrong) && html`<p class="error" role="alert">${error || wrong}</p>`}
  </form></main>`;
}

function Large({ item, query, nBits, onClose, onSearch, onUnlike, onRemove, writable }) {
  const dialog = useRef(null);
  useEffect(() => { dialog.current.showModal(); }, []);
  const facts = Object.entries(item.payload ?? {}).filter(([key]) => !["mtime_ns", "sha256"].includes(key));
  return html`<dialog ref=${dialog} class="large" aria-label=${String(item.id)} onClose=${onClose}
      onClick=${(e) => e.target === dialog.current && dialog.current.close()}>
    <div class="inner">
      ${item.photo ? html`<img src=${api.photo(item.key)} alt=${`Photo ${item.id}`} />` : html`<p class="nopicture">This item has no photo that can be shown.</p>`}
      <div class="facts">
        <h2>${nameOf(item)}</h2><p class="quiet">${String(item.id)}</p>
        <${Bits} code=${item.code} query=${query} nBits=${nBits} />
        <dl>${item.distance !== undefined && html`<div><dt>distance</dt><dd>${item.distance} bits</dd></div>`}
          ${facts.map(([key, value]) => html`<div key=${key}><dt>${key}</dt><dd>${typeof value === "string" ? value : JSON.stringify(value)}</dd></div>`)}</dl>
        <p class="row"><button class="main" onClick=${() => { dialog.current.close(); onSearch(item); }}>Find similar</button>
          ${onUnlike && html`<button onClick=${() => { dialog.current.close(); onUnlike(item); }}>Less like this</button>`}
          ${writable && html`<button onClick=${() => { if (confirm(`Take ${item.id} out of the collection? The photo itself stays where it is.`)) { dialog.current.close(); onRemove(item); } }}>Remove from collection</button>`}
          <button onClick=${() => dialog.current.close()}>Close</button></p>
      </div>
    </div></dialog>`;
}

function Chip({ kind, value, unlike, onRemove }) {
  const name = kind === "key" ? value.slice(2) : kind === "photo" ? "your photo" : kind === "text" ? `“${value}”` : `code ${value.slice(0, 12)}`;
  const picture = kind === "photo" ? api.asked(value) : kind === "key" ? api.thumbnail(value) : null;
  const [gone, setGone] = useState(false);
  return html`<span class=${unlike ? "chip unlike" : "chip"} title=${name}>
    ${picture && !gone && html`<img src=${picture} alt="" onError=${() => setGone(true)} />`}
    <span class="value">${unlike ? "not like " : ""}${name.slice(name.lastIndexOf("/") + 1)}</span>
    <button aria-label=${`Remove ${name} from the query`} onClick=${onRemove}>×</button></span>`;
}

function Ask({ info, onPhoto, onText, onCode, busy }) {
  const [text, setText] = useState("");
  const picker = useRef(null);
  const send = (event) => {
    event.preventDefault();
    const value = text.trim();
    if (!value) return;
    setText("");
    onText(value);
  };
  return html`<form class="ask" onSubmit=${send} role="search">
    <input type="search" value=${text} onInput=${(e) => setText(e.target.value)} aria-label="Search"
      placeholder=${info.texts ? "Type words, paste or drop a photo" : info.photos ? "Paste or drop a photo, or type an item's name" : "Type an item's name"} />
    ${info.photos && html`<button type="button" class="main" disabled=${busy} onClick=${() => picker.current.click()}>${busy ? "Reading …" : "Choose photo"}</button>
      <input type="file" accept="image/*" ref=${picker} hidden aria-label="Photo to search with" onChange=${(e) => { if (e.target.files[0]) onPhoto(e.target.files[0]); e.target.value = ""; }} />`}
  </form>`;
}

function App() {
  const [state, go] = useAddress();
  const [info, setInfo] = useState(null);
  const [key, setKey] = useState(false);
  const [facets, setFacets] = useState(null);
  const [found, setFound] = useState(null);
  const [searching, setSearching] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [dropping, setDropping] = useState(false);
  const [large, setLarge] = useState(null);
  const [changes, setChanges] = useState(0);
  const [say, setSay] = useState("");

  const fail = useCallback((e) => {
    if (e?.name === "AbortError") return;
    if (e?.status === 401) setKey(true); else setError(e?.message ?? String(e));
  }, []);
  const start = () => Promise.all([api.info(), api.facets(null)]).then(([i, f]) => { setInfo(i); setFacets((old) => ({ all: f.facets, now: old?.now ?? f.facets })); setKey(false); document.title = `${i.name} – h2q`; }, fail);
  useEffect(() => { start(); }, [changes]);

  const where = useMemo(() => condition(state.facets, facets?.all), [JSON.stringify(state.facets), facets?.all]);
  const whereName = JSON.stringify(where);
  useEffect(() => { if (facets?.all) api.facets(where).then((f) => setFacets((old) => ({ ...old, now: f.facets })), fail); }, [whereName, facets?.all]);

  const query = JSON.stringify([state.like, state.unlike, state.rank, state.k, state.radius, state.distinct, whereName]);
  useEffect(() => {
    setError("");
    if (!state.like.length || !facets) { setFound(null); return undefined; }
    const stop = new AbortController();
    setSearching(true);
    const points = (list) => list.map(([kind, value]) => ({ [kind]: value }));
    api.search({
      queries: points(state.like), without: points(state.unlike), k: state.k, radius: state.radius, where,
      rank: state.radius === null ? state.rank || null : null, distinct: state.distinct,
    }, stop.signal).then((answer) => { setFound(answer); setSearching(false); setSay(`${answer.items.length} found`); },
      (e) => { if (e.name !== "AbortError") { setSearching(false); setFound({ items: [], histogram: [], code: null, rank: "" }); } fail(e); });
    return () => stop.abort();
  }, [query, facets === null, changes]);

  const askPhoto = useCallback(async (blob) => {
    if (!blob.type.startsWith("image/") && blob.type) { setError(`${blob.name ?? "This"} is no picture. Drop a JPEG, PNG, WebP, HEIC …`); return; }
    setBusy(true);
    setError("");
    try {
      const asked = await api.upload(blob);
      go({ like: [["photo", asked.token]], unlike: [], view: state.view === "map" ? "map" : "photos" });
    } catch (e) { fail(e); }
    setBusy(false);
  }, [state.view]);
  useEffect(() => {
    if (!info) return undefined;
    const pasted = (event) => {
      const file = [...(event.clipboardData?.files ?? [])][0];
      if (file && info.photos) { event.preventDefault(); askPhoto(file); }
    };
    const over = (event) => { if ([...event.dataTransfer.types].some((t) => t === "Files" || t === "text/plain")) { event.preventDefault(); setDropping(true); } };
    const leave = (event) => { if (!event.relatedTarget) setDropping(false); };
    const drop = (event) => {
      event.preventDefault();
      setDropping(false);
      const file = event.dataTransfer.files[0];
      if (!file) return;
      if (info.photos) askPhoto(file); else setError("This collection keeps no encoder, so it cannot be searched with a photo. Choose an item instead.");
    };
    const list = [["paste", pasted], ["dragover", over], ["dragleave", leave], ["drop", drop]];
    list.forEach(([name, f]) => document.addEventListener(name, f));
    return () => list.forEach(([name, f]) => document.removeEventListener(name, f));
  }, [info, askPhoto]);

  const searchItem = useCallback((item) => { go({ like: [["key", item.key]], unlike: [] }); window.scrollTo({ top: 0 }); }, []);
  const unlike = useCallback((item) => go({ unlike: [...state.unlike, ["key", item.key]] }), [state.unlike]);
  const openItem = useCallback((item) => setLarge(item), []);
  const askText = async (text) => {
    for (const name of [`s:${text}`, ...(/^-?\d+$/.test(text) ? [`i:${text}`] : [])]) {
      try { const item = await api.item(name); searchItem(item); return; } catch (e) { if (e.status !== 404) { fail(e); return; } }
    }
    try { // the encoder may have been loaded since
      const fresh = await api.info();
      setInfo(fresh);
      if (fresh.texts) { go({ like: [["text", text]], unlike: [] }); return; }
    } catch (e) { fail(e); return; }
    setError(`No item is called ${text}. ${info.photos ? "Drop a photo to search with it; words need" : "Words need"} a collection with an encoder of texts.`);
  };
  const removeItem = (item) => api.remove([item.key]).then(() => { setChanges((n) => n + 1); go({ like: state.like.filter(([, v]) => v !== item.key) }); }, fail);

  const mapOn = state.view === "map" || state.lasso !== null;
  const coordinates = useCoordinates(mapOn ? state.method : "pca", `${info?.count}/${mapOn}`, fail);
  const [numbers, setNumbers] = useState(null);
  const [legend, setLegend] = useState([]);
  useEffect(() => {
    if (!mapOn || !state.colour) { setNumbers(null); setLegend([]); return; }
    api.colours(state.colour).then((c) => { setNumbers(new Int32Array(api.bytes(c.numbers).buffer)); setLegend(c.values); }, fail);
  }, [state.colour, mapOn, changes]);
  const [meets, setMeets] = useState(null);
  useEffect(() => {
    if (!where || !state.lasso) { setMeets(null); return undefined; }
    let live = true;
    api.mask(where).then((found) => { if (live) setMeets(api.bytes(found.mask)); }, fail);
    return () => { live = false; };
  }, [whereName, state.lasso === null, changes]);
  const inLasso = useMemo(() => {
    if (!state.lasso || !coordinates.places || (where && !meets)) return null;
    const inside = placesInside(state.lasso, coordinates.places);
    return where ? inside.filter((place) => meets[place]) : inside;
  }, [state.lasso, coordinates.places, meets, whereName]);
  const hits = useMemo(() => {
    if (!found) return null;
    if (!inLasso) return found.items;
    const chosen = new Set(inLasso);
    return found.items.filter((i) => chosen.has(i.place));
  }, [found, inLasso]);
  const marked = useMemo(() => (hits ? new Set(hits.map((i) => i.place)) : inLasso ? new Set(inLasso) : null), [hits, inLasso]);

  const stretches = useStretches(where, `${info?.count}/${changes}`, fail);
  const lassoed = usePlaces(hits ? null : inLasso, coordinates.stamp, fail);
  const getHit = useCallback((place) => hits?.[place], [hits]);

  if (key) return html`<${KeyDialog} onDone=${() => { setKey(false); setError(""); setChanges((n) => n + 1); }} />`;
  if (!info || !facets) return html`<main><p class="starting">${error || "Loading the collection …"}</p>${error && html`<p class="starting"><button onClick=${() => { setError(""); start(); }}>Try again</button></p>`}</main>`;

  const asking = state.like.length > 0;
  const source = hits || asking ? { total: hits?.length ?? 0, get: getHit, need: null } : inLasso ? { total: inLasso.length, ...lassoed } : stretches;
  const title = asking ? (searching ? "Searching …" : `${source.total.toLocaleString()} found${found?.milliseconds !== undefined ? ` in ${found.milliseconds.toFixed(1)} ms` : ""}`)
    : inLasso ? `${inLasso.length.toLocaleString()} items in the lasso`
    : stretches.total === null ? "Loading …" : `${stretches.total.toLocaleString()} item${stretches.total === 1 ? "" : "s"}`;
  const chosen = Object.values(state.facets).reduce((n, v) => n + v.length, 0);
  const grid = html`<${Grid} total=${source.total ?? 0} get=${source.get} need=${source.need} query=${asking ? found?.code : null} nBits=${info.n_bits}
    onSearch=${searchItem} onOpen=${openItem} label=${title} />`;

  return html`<div class="page">
    <header><a class="brand" href="/" onClick=${(e) => { e.preventDefault(); go({ ...START }); }}><img src="/page/icon.svg" alt="" width="28" height="28" /><span>${info.name}</span></a>
      <${Ask} info=${info} busy=${busy} onPhoto=${askPhoto} onText=${askText} />
      <nav aria-label="Views">${VIEWS.map(([name, text]) => html`<a key=${name} href=${write({ ...state, view: name })} aria-current=${state.view === name ? "page" : undefined}
        onClick=${(e) => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); go({ view: name }); }}>${text}</a>`)}</nav></header>
    <p class="visually-hidden" role="status">${say}</p>
    ${error && html`<p class="error bar" role="alert"><span>${error}</span><button aria-label="Close the message" onClick=${() => setError("")}>×</button></p>`}
    ${state.view === "about" ? html`<main><${About} info=${info} onError=${fail} /></main>`
    : state.view === "duplicates" ? html`<main><${Duplicates} info=${info} onError=${fail} onOpen=${openItem} /></main>`
    : html`<div class="columns">
      <aside aria-label="Filters"><details open=${window.innerWidth > 800}><summary>Filters${chosen ? ` (${chosen})` : ""}</summary>
        ${asking && html`<${Radius} nBits=${info.n_bits} counts=${found?.histogram} radius=${state.radius} onChange=${(radius) => go({ radius })} />
        <fieldset class="facet"><legend>Order</legend>
          <label class="line">Rank <select value=${state.radius === null ? state.rank : "hamming"} disabled=${state.radius !== null} onChange=${(e) => go({ rank: e.target.value })}>
            <option value="">best for the query</option>${info.ranks.map((r) => html`<option key=${r.name} value=${r.name}>${r.name}: ${r.text}</option>`)}</select></label>
          <label class="line">At most <input type="number" min="1" max="10000" value=${state.k} onChange=${(e) => { const v = Number(e.target.value); if (v >= 1 && v <= 10000) go({ k: Math.round(v) }); }} /></label>
          <label><input type="checkbox" checked=${state.distinct !== null} onChange=${(e) => go({ distinct: e.target.checked ? Math.max(1, Math.round(info.n_bits / 20)) : null })} />
            <span class="value">Hide near-duplicates</span></label></fieldset>`}
        ${chosen > 0 && html`<button class="quiet" onClick=${() => go({ facets: {} })}>Clear ${chosen} filter${chosen === 1 ? "" : "s"}</button>`}
        <${Facets} facets=${facets.now ?? facets.all} chosen=${state.facets} onChange=${(f) => go({ facets: f })} /></details></aside>
      <main>
        ${asking && html`<div class="query"><span class="quiet">Like</span>${state.like.map(([kind, value], i) => html`<${Chip} key=${kind + value} kind=${kind} value=${value} onRemove=${() => go({ like: state.like.filter((_, j) => j !== i), ...(state.like.length === 1 ? { unlike: [], radius: null } : {}) })} />`)}
          ${state.unlike.map(([kind, value], i) => html`<${Chip} key=${"un" + value} unlike kind=${kind} value=${value} onRemove=${() => go({ unlike: state.unlike.filter((_, j) => j !== i) })} />`)}</div>`}
        ${state.view === "map" && html`<div class="mapbar"><label class="line">Layout <select value=${state.method} onChange=${(e) => go({ method: e.target.value, lasso: null })}><option value="pca">PCA, at once</option><option value="tsne">t-SNE</option></select></label>
            <label class="line">Colour <select value=${state.colour} onChange=${(e) => go({ colour: e.target.value })}><option value="">none</option>${facets.all.map((f) => html`<option key=${f.key} value=${f.key}>${titleOf(f.key)}</option>`)}</select></label>
            ${!coordinates.ready && coordinates.places && html`<span class="quiet" role="status">t-SNE is being computed; the map follows when it is done …</span>`}</div>
          <${CollectionMap} coordinates=${coordinates} numbers=${numbers} marked=${marked} lasso=${state.lasso} total=${info.count}
            onLasso=${(lasso) => go({ lasso })} onSearch=${searchItem} />
          ${legend.length > 0 && html`<ul class="legend" aria-label="Colours">${legend.slice(0, 20).map((v, i) => html`<li key=${v}><span style=${{ background: colourOf(i) }}></span>${v}</li>`)}${legend.length > 20 && html`<li class="quiet">and ${legend.length - 20} more, in the same colours again</li>`}</ul>`}`}
        ${state.lasso && state.view !== "map" && html`<p class="row"><span>Only what is inside the lasso of the map.</span><button class="quiet" onClick=${() => go({ lasso: null })}>Clear lasso</button></p>`}
        <h1 class="title">${title}</h1>
        ${info.count === 0 ? html`<div class="teach"><h2>This collection is empty</h2><p>Index a folder of photos, then load this page again:</p><pre>h2q index ~/Pictures -c ${info.name}</pre></div>`
        : asking && !searching && found && source.total === 0 ? html`<div class="teach"><h2>Nothing found</h2><p>${state.radius !== null ? "No item is within this radius. Move the slider to the right." : chosen ? "No item meets all filters. Clear one of them." : "Nothing meets this query."}</p></div>`
        : !asking && source.total === 0 && chosen ? html`<div class="teach"><h2>No item meets all filters</h2><p>Clear one of them.</p></div>` : grid}
      </main></div>`}
    ${large && html`<${Large} item=${large} query=${asking ? found?.code : null} nBits=${info.n_bits} writable=${info.writable} onClose=${() => setLarge(null)} onSearch=${searchItem}
      onUnlike=${asking ? unlike : null} onRemove=${removeItem} />`}
    ${dropping && html`<div class="drop" aria-hidden="true"><p>${info.photos ? "Drop the photo to find what is like it" : "This collection cannot be searched with a photo"}</p></div>`}
  </div>`;
}

render(html`<${App} />`, document.getElementById("app"));
document.querySelector("#app > .starting")?.remove();
