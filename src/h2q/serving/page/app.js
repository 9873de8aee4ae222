// The page: one state, kept in the address; everything shown follows from it.

import { html, render, useCallback, useEffect, useMemo, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { START, condition, read, write } from "./address.js";
import { Ask, Chips, useDropped } from "./asking.js";
import { Arrange, SIZES, arranged, useArranged } from "./arranging.js";
import { ChosenBar, SaveList } from "./choosing.js";
import { Help, KeyDialog, Large } from "./dialogs.js";
import { Grid } from "./grid.js";
import { Facets, Radius } from "./filters.js";
import { MapView, useMap } from "./map.js";
import { Duplicates } from "./duplicates.js";
import { About } from "./about.js";
import { useFacets, usePlaces, useStretches } from "./sources.js";

const VIEWS = [["photos", "Items"], ["map", "Map"], ["duplicates", "Duplicates"], ["about", "About"]];
const MOST_QUERIES = 16;
const FOUND = "found"; // the view that shows what is found: the map where that is shown, else the items

function useAddress() {
  const [state, setState] = useState(() => read(location.search));
  useEffect(() => {
    const back = () => setState(read(location.search));
    window.addEventListener("popstate", back);
    return () => window.removeEventListener("popstate", back);
  }, []);
  const go = useCallback((change) => {
    setState((old) => {
      const next = { ...old, ...change };
      if (next.view === FOUND) next.view = old.view === "map" ? "map" : "photos";
      const target = write(next);
      if (target !== (location.search || "/")) history.pushState(null, "", target);
      return next;
    });
  }, []);
  return [state, go];
}

// What a search found; null where nothing is searched for.
function useSearch(state, where, ready, changes, onError) {
  const [found, setFound] = useState(null);
  const [searching, setSearching] = useState(false);
  const query = JSON.stringify([state.like, state.unlike, state.rank, state.k, state.radius, state.distinct, where]);
  useEffect(() => {
    if (!state.like.length || !ready) { setFound(null); setSearching(false); return undefined; }
    const stop = new AbortController();
    setSearching(true);
    const points = (list) => list.map(([kind, value]) => ({ [kind]: value }));
    api.search({
      queries: points(state.like), without: points(state.unlike), k: state.k, radius: state.radius, where,
      rank: state.radius === null ? state.rank || null : null, distinct: state.distinct,
    }, stop.signal).then((answer) => { setFound(answer); setSearching(false); }, (error) => {
      if (error.name === "AbortError") return;
      setSearching(false);
      setFound({ items: [], histogram: [], code: null, rank: "", failed: error.message });
      if (error.status !== 422) onError(error);
    });
    return () => stop.abort();
  }, [query, ready, changes]);
  return { found, searching };
}

function Order({ state, info, go }) {
  return html`<fieldset class="facet"><legend>Order</legend>
    <label class="line">Rank <select value=${state.radius === null ? state.rank : "hamming"} disabled=${state.radius !== null} onChange=${(e) => go({ rank: e.target.value })}>
      <option value="">best for the query</option>${info.ranks.map((r) => html`<option key=${r.name} value=${r.name}>${r.name}: ${r.text}</option>`)}</select></label>
    <label class="line">At most <input type="number" min="1" max="10000" value=${state.k} onChange=${(e) => { const v = Number(e.target.value); if (v >= 1 && v <= 10000) go({ k: Math.round(v) }); }} /></label>
    <label><input type="checkbox" checked=${state.distinct !== null} onChange=${(e) => go({ distinct: e.target.checked ? Math.max(1, Math.round(info.n_bits / 20)) : null })} />
      <span class="value">Hide near-duplicates</span></label></fieldset>`;
}

const Teach = ({ title, text, action, onAction }) => html`<div class="teach"><h2>${title}</h2><p>${text}</p>${action && html`<p><button class="main" onClick=${onAction}>${action}</button></p>`}</div>`;

function App() {
  const [state, go] = useAddress();
  const [info, setInfo] = useState(null);
  const [key, setKey] = useState(false);
  const [all, setAll] = useState(null); // the facets of the whole collection
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState("");
  const [large, setLarge] = useState(null); // {place, item}, and the list where it is another than the one shown
  const [help, setHelp] = useState(false);
  const [chosen, setChosen] = useState(() => new Map());
  const [changes, setChanges] = useState(0);

  const fail = useCallback((e) => {
    if (e?.name === "AbortError") return;
    if (e?.status === 401) setKey(true); else setError(e?.message ?? String(e));
  }, []);
  const start = () => Promise.all([api.info(), api.facets(null)]).then(([i, f]) => { setInfo(i); setAll(f.facets); setKey(false); document.title = `${i.name} – h2q`; }, fail);
  useEffect(() => { start(); }, [changes]);

  const facets = useFacets(all, { facets: state.facets, from: state.from, to: state.to }, fail);
  const whereName = JSON.stringify(condition(state, all));
  const where = useMemo(() => JSON.parse(whereName), [whereName]);
  const { found, searching } = useSearch(state, where, all !== null, changes, fail);
  const asking = state.like.length > 0;
  useEffect(() => setError(""), [state]);

  const askPhoto = useCallback(async (blob) => {
    if (!blob.type.startsWith("image/") && blob.type) { setError(`${blob.name ?? "This"} is no picture. Drop a JPEG, PNG, WebP, HEIC …`); return; }
    setBusy(true);
    setError("");
    try {
      const asked = await api.upload(blob);
      go({ like: [["photo", asked.token]], unlike: [], view: FOUND });
    } catch (e) { fail(e); }
    setBusy(false);
  }, []);
  const dropping = useDropped(info, askPhoto, setError);

  const searchItem = useCallback((item) => { go({ like: [["key", item.key]], unlike: [], view: FOUND }); window.scrollTo({ top: 0 }); }, []);
  const searchItems = (items) => { go({ like: items.map((item) => ["key", item.key]), unlike: [], view: FOUND }); setChosen(new Map()); window.scrollTo({ top: 0 }); };
  const askText = async (text) => {
    for (const name of [`s:${text}`, ...(/^-?\d+$/.test(text) ? [`i:${text}`] : [])]) {
      try { searchItem(await api.item(name)); return; } catch (e) { if (e.status !== 404) { fail(e); return; } }
    }
    try { // the encoder may have been loaded since
      const fresh = await api.info();
      setInfo(fresh);
      if (fresh.texts) { go({ like: [["text", text]], unlike: [], view: FOUND }); return; }
    } catch (e) { fail(e); return; }
    const same = (value) => value.text.toLowerCase() === text.toLowerCase();
    const facet = all.find((f) => f.values.some(same));
    if (facet) { go({ facets: { [facet.key]: [facet.values.find(same).text] }, like: [], unlike: [], view: FOUND }); return; }
    setError(`No item or label is called ${text}. ${info.photos ? "Drop a photo to search with it; words need" : "Words need"} a collection with an encoder of texts.`);
  };
  const remove = (items) => api.remove(items.map((item) => item.key)).then(() => {
    const gone = new Set(items.map((item) => item.key));
    setChosen((old) => new Map([...old].filter(([k]) => !gone.has(k))));
    setChanges((n) => n + 1);
    go({ like: state.like.filter(([, v]) => !gone.has(v)) });
  }, fail);

  const map = useMap(state, info ? `${info.count}/${changes}` : "", where, found, fail);
  const { hits, inLasso } = map;
  const stretches = useStretches(where, `${info?.count}/${changes}`, fail);
  const ordered = useArranged(asking ? "" : state.order, where, info && `${info.count}/${changes}`, fail);
  const within = useMemo(() => inLasso && (state.order ? arranged(inLasso, state.order) : inLasso), [inLasso, state.order]);
  const lassoed = usePlaces(hits ? null : within ?? ordered?.places, within ? map.coordinates.stamp : ordered?.stamp, fail);
  const getHit = useCallback((place) => hits?.[place], [hits]);
  const allHits = async function* () { yield hits; };
  const source = asking ? { total: hits?.length ?? 0, get: getHit, need: null, all: allHits } : inLasso || state.order ? lassoed : stretches;
  const total = source.total;

  const last = useMemo(() => ({ place: null }), []); // where a range of chosen items begins
  const choose = useCallback((item, place, range) => setChosen((old) => {
    const next = new Map(old);
    if (range && last.place !== null) {
      for (let p = Math.min(place, last.place); p <= Math.max(place, last.place); p++) { const each = source.get(p); if (each) next.set(each.key, each); }
    } else if (next.has(item.key)) next.delete(item.key); else next.set(item.key, item);
    last.place = place;
    return next;
  }), [source.get]);

  const step = (by) => setLarge((old) => {
    const { list } = old;
    const place = Math.min((list?.length ?? total) - 1, Math.max(0, old.place + by));
    return { place, list, item: list ? list[place] : source.get(place) };
  });
  const shown = large && (large.item ?? source.get(large.place));
  useEffect(() => { if (large && !shown) source.need?.(large.place, large.place + 1); }, [large]);
  const resize = (by) => {
    const names = Object.keys(SIZES), place = names.indexOf(state.size) + by;
    if (names[place] !== undefined) go({ size: names[place] });
  };
  const openList = useCallback((list, place) => setLarge({ list, place, item: list[place] }), []);
  const openItem = useCallback((item, place) => setLarge({ item, place }), []);

  useEffect(() => {
    const keys = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
      const writing = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName) && !["radio", "checkbox"].includes(event.target.type);
      if (writing) return;
      if (event.key === "/") { event.preventDefault(); document.querySelector(".ask input[type=search]")?.focus(); }
      else if (event.key === "?") { event.preventDefault(); setHelp(true); }
      else if (event.key === "Escape") setChosen((old) => (old.size ? new Map() : old));
    };
    document.addEventListener("keydown", keys);
    return () => document.removeEventListener("keydown", keys);
  }, []);

  if (key) return html`<${KeyDialog} onDone=${() => { setKey(false); setError(""); setChanges((n) => n + 1); }} />`;
  if (!info || !all) return html`<main><p class="starting" role="status">${error || "Loading the collection …"}</p>${error && html`<p class="starting"><button onClick=${() => { setError(""); start(); }}>Try again</button></p>`}</main>`;

  const title = asking ? (searching ? "Searching …" : found?.failed ? "No answer" : `${total.toLocaleString()} found${found?.milliseconds !== undefined ? ` in ${found.milliseconds.toFixed(1)} ms` : ""}`)
    : state.lasso && !inLasso ? "Placing the items …"
    : inLasso ? `${total.toLocaleString()} item${total === 1 ? "" : "s"} in the lasso`
    : total === null ? "Loading …" : `${total.toLocaleString()} item${total === 1 ? "" : "s"}`;
  const filters = Object.values(state.facets).reduce((n, v) => n + v.length, 0) + Boolean(state.from) + Boolean(state.to);
  const clear = () => go({ facets: {}, from: "", to: "" });
  const content = info.count === 0 ? html`<div class="teach"><h2>This collection is empty</h2><p>Index a folder of photos, then load this page again:</p><pre>h2q index ~/Pictures -c ${info.name}</pre></div>`
    : asking && found?.failed ? html`<${Teach} title="This query has no answer" text=${found.failed.charAt(0).toUpperCase() + found.failed.slice(1)} action="Show all items" onAction=${() => go({ like: [], unlike: [], radius: null })} />`
    : asking && !searching && found && total === 0 ? (
      state.lasso && found.items.length ? html`<${Teach} title="Nothing found inside the lasso" text=${`${found.items.length} are found outside it.`} action="Clear lasso" onAction=${() => go({ lasso: null })} />`
      : state.radius !== null ? html`<${Teach} title="Nothing found" text="No item is within this radius. Move the slider to the right." action="Show the nearest" onAction=${() => go({ radius: null })} />`
      : filters ? html`<${Teach} title="Nothing found" text="No item meets all filters." action="Clear filters" onAction=${clear} />`
      : html`<${Teach} title="Nothing found" text="Nothing else is in the collection." />`)
    : !asking && total === 0 && filters ? html`<${Teach} title="No item meets all filters" text="Each filter narrows what is shown." action="Clear filters" onAction=${clear} />`
    : !asking && total === 0 && inLasso ? html`<${Teach} title="The lasso is empty" text="Draw it around some points." action="Clear lasso" onAction=${() => go({ lasso: null })} />`
    : html`<${Grid} total=${total ?? 0} get=${source.get} need=${source.need} query=${asking ? found?.code : null} nBits=${info.n_bits}
        chosen=${chosen} onChoose=${choose} onSearch=${searchItem} onOpen=${openItem} onSize=${resize} scale=${SIZES[state.size]} label=${title} />`;

  return html`<div class=${chosen.size ? "page choosing" : "page"}>
    <a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); (document.querySelector(".frame[tabindex='0']") ?? document.querySelector("main")).focus(); }}>Skip to content</a>
    <header><a class="brand" href="/" onClick=${(e) => { e.preventDefault(); go({ ...START }); }}><img src="/page/icon.svg" alt="" width="28" height="28" /><span>${info.name}</span></a>
      <${Ask} info=${info} busy=${busy} onPhoto=${askPhoto} onText=${askText} />
      <nav aria-label="Views">${VIEWS.map(([name, text]) => html`<a key=${name} href=${write({ ...state, view: name })} aria-current=${state.view === name ? "page" : undefined}
        onClick=${(e) => { if (e.ctrlKey || e.metaKey || e.shiftKey) return; e.preventDefault(); go({ view: name }); }}>${text}</a>`)}
        <button class="quiet keyhelp" aria-label="Keys" title="Keys (?)" onClick=${() => setHelp(true)}>?</button></nav></header>
    <p class="visually-hidden" role="status">${["photos", "map"].includes(state.view) ? title : ""}</p>
    ${error && html`<p class="error bar" role="alert"><span>${error}</span><button aria-label="Close the message" onClick=${() => setError("")}>×</button></p>`}
    ${state.view === "about" ? html`<main tabindex="-1"><${About} info=${info} onError=${fail} /></main>`
    : state.view === "duplicates" ? html`<main tabindex="-1"><${Duplicates} info=${info} onError=${fail} onOpen=${openList} /></main>`
    : html`<div class="columns">
      <aside aria-label="Filters"><details open=${window.innerWidth > 800}><summary>Filters${filters ? ` (${filters})` : ""}</summary>
        ${asking && html`<${Radius} nBits=${info.n_bits} counts=${found?.histogram} radius=${state.radius} onChange=${(radius) => go({ radius })} /><${Order} state=${state} info=${info} go=${go} />`}
        ${filters > 0 && html`<button class="quiet" onClick=${clear}>Clear ${filters} filter${filters === 1 ? "" : "s"}</button>`}
        <${Facets} facets=${facets} filters=${state} onChange=${go} /></details></aside>
      <main tabindex="-1">
        ${asking && html`<${Chips} like=${state.like} unlike=${state.unlike} onChange=${go} />`}
        ${state.view === "map" && html`<${MapView} map=${map} state=${state} go=${go} facets=${all} maps=${info.maps} total=${info.count} onSearch=${searchItem} />`}
        ${state.lasso && state.view !== "map" && html`<p class="row"><span>Only what is inside the lasso of the map.</span><button class="quiet" onClick=${() => go({ lasso: null })}>Clear lasso</button></p>`}
        <div class="row titlebar"><h1 class="title">${title}</h1>${total > 0 && html`<${Arrange} state=${state} go=${go} asking=${asking} /><${SaveList} key=${JSON.stringify([state, changes])} total=${total} all=${source.all} onError=${fail} />`}</div>
        ${content}
      </main></div>`}
    ${chosen.size > 0 && html`<${ChosenBar} chosen=${chosen} writable=${info.writable} onSearch=${searchItems} onRemove=${remove} onClear=${() => setChosen(new Map())} />`}
    ${large && html`<${Large} item=${shown} query=${asking ? found?.code : null} nBits=${info.n_bits} writable=${info.writable} onClose=${() => setLarge(null)}
      onStep=${step} atStart=${large.place === 0} atEnd=${large.place === (large.list?.length ?? total) - 1}
      chosen=${shown && chosen.has(shown.key)} onChoose=${large.list ? null : () => shown && choose(shown, large.place, false)} onSearch=${searchItem} onRemove=${(item) => remove([item])}
      onMore=${asking && state.like.length < MOST_QUERIES ? (item) => go({ like: [...state.like, ["key", item.key]] }) : null}
      onUnlike=${asking && state.unlike.length < MOST_QUERIES ? (item) => go({ unlike: [...state.unlike, ["key", item.key]] }) : null} />`}
    ${help && html`<${Help} onClose=${() => setHelp(false)} />`}
    ${dropping && html`<div class="drop" aria-hidden="true"><p>${info.photos ? "Drop the photo to find what is like it" : "This collection cannot be searched with a photo"}</p></div>`}
  </div>`;
}

render(html`<${App} />`, document.getElementById("app"));
document.querySelector("#app > .starting")?.remove();
