// Where the items of the grid come from: stretches of the collection, or chosen places of it.

import { useCallback, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { condition } from "./address.js";

const PAGE = 100;
const MOST_AT_ONCE = 1000;

// Stretches of the collection, loaded when they come near the view.
export function useStretches(where, stamp, onError) {
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
  const all = async function* () {
    for (let start = 0, end = total; start < end; start += MOST_AT_ONCE) {
      const found = await api.items(start, MOST_AT_ONCE, where);
      end = found.total;
      yield found.items;
    }
  };
  return { total, get, need, all };
}

// Chosen places, in any order, loaded likewise.
export function usePlaces(places, stamp, onError) {
  const [, redraw] = useState(0);
  const found = useMemo(() => new Map(), [places, stamp]);
  const need = useCallback((from, to) => {
    if (!places) return;
    const wanted = places.slice(from, to).filter((p) => !found.has(p)).slice(0, MOST_AT_ONCE);
    if (!wanted.length) return;
    wanted.forEach((p) => found.set(p, undefined));
    api.at(wanted, stamp).then((answer) => {
      for (const item of answer.items) found.set(item.place, item);
      redraw((n) => n + 1);
    }, (error) => { wanted.forEach((p) => found.delete(p)); onError(error); });
  }, [places, stamp]);
  const all = async function* () {
    for (let start = 0; start < places.length; start += MOST_AT_ONCE)
      yield (await api.at(places.slice(start, start + MOST_AT_ONCE), stamp)).items;
  };
  return { total: places?.length ?? null, need, get: (place) => found.get(places?.[place]), all };
}

// The facets with the counts of what meets the filters. Those of a facet that is chosen from leave its
// own choice out: they say what another value would bring.
export function useFacets(all, filters, onError) {
  const [now, setNow] = useState(null);
  const name = JSON.stringify(filters);
  useEffect(() => {
    if (!all) return undefined;
    let live = true;
    const keys = Object.keys(filters.facets);
    const others = keys.map((key) => {
      const { [key]: _, ...rest } = filters.facets;
      return { ...filters, facets: rest };
    });
    if (filters.from || filters.to) { keys.push("taken"); others.push({ ...filters, from: "", to: "" }); }
    if (!keys.length) { setNow(all); return undefined; }
    Promise.all([filters, ...others].map((f) => api.facets(condition(f, all)))).then(([found, ...own]) => {
      if (!live) return;
      setNow(found.facets.map((facet) => {
        const place = keys.indexOf(facet.key);
        return (place < 0 ? null : own[place].facets.find((f) => f.key === facet.key)) ?? facet;
      }));
    }, onError);
    return () => { live = false; };
  }, [name, all]);
  return now ?? all;
}
