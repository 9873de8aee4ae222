// Groups of duplicates to go through by keyboard; the result is a plan, and no file is changed here.

import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor/htm-preact.js";
import * as api from "./api.js";
import { download } from "./choosing.js";
import { nameOf, folderOf } from "./grid.js";

const LEVELS = {
  same: "The same picture: byte for byte, re-encoded or resized. Verified by its pixels.",
  close: "Mirrored, cropped, retouched, or the next of a burst. Look before you choose.",
  related: "Alike by their codes; nothing more is known. Nothing is suggested here.",
};
const STEP = 100;
const MOST_LARGE = 60; // of a group are loaded to be looked at

const size = (n) => (n === null ? "" : n < 1e6 ? `${Math.round(n / 1e3)} kB` : `${(n / 1e6).toFixed(1)} MB`);

// Which of a group is kept and which are moved: at first as suggested, then as chosen.
const suggested = (group) => ({
  keep: group.members[0].key,
  move: group.level === "same" ? group.members.slice(1).filter((m) => !m.protected && m.photo).map((m) => m.key) : [],
});

function Group({ group, number, now, follow, choice, onChange, onNow, onOpen }) {
  const box = useRef(null);
  useEffect(() => { if (now && follow.current) box.current?.scrollIntoView({ block: "nearest" }); }, [now]);
  const fixed = group.level === "related";
  const set = (member, what) => {
    onNow();
    if (what === "keep") onChange({ keep: member.key, move: choice.move.filter((k) => k !== member.key) });
    else if (member.key !== choice.keep && !member.protected && member.photo)
      onChange({ ...choice, move: choice.move.includes(member.key) ? choice.move.filter((k) => k !== member.key) : [...choice.move, member.key] });
  };
  return html`<section class=${now ? "group now" : "group"} ref=${box} aria-label=${`Group ${number + 1}, ${group.level}, ${group.members.length} items`}>
    <p class="row"><span class=${`badge ${group.level}`}>${group.level}</span><b>${group.members.length} items</b><span class="quiet">${group.why && `Kept: ${group.why}`}</span></p>
    <div class="members">${group.members.map((m, i) => {
      const kept = m.key === choice.keep && !fixed, moved = choice.move.includes(m.key);
      return html`<div key=${m.key} class=${`member ${kept ? "keep" : moved ? "move" : ""}`}>
        <button class="frame" onClick=${() => onOpen(i)} aria-label=${`Show ${m.id} large`}>${m.photo ? html`<img src=${api.thumbnail(m.key)} alt="" loading="lazy" />` : html`<span class="nopicture">no photo at hand</span>`}</button>
        <p title=${String(m.id)}><b>${i + 1}. ${nameOf(m)}</b><br /><span class="quiet">${folderOf(m)}</span></p>
        <p class="quiet">${[m.width ? `${m.width} × ${m.height}` : "", size(m.size), m.format, m.date?.slice(0, 10)].filter(Boolean).join(" · ")}</p>
        <p>${i ? `${m.change}, ${m.distance} bit${m.distance === 1 ? "" : "s"}` : "first"}${m.protected ? " · protected" : ""}</p>
        ${!fixed && html`<p class="row"><label><input type="radio" name=${`keep${number}`} checked=${kept} onChange=${() => set(m, "keep")} /> keep</label>
          <label><input type="checkbox" checked=${moved} disabled=${kept || m.protected || !m.photo} onChange=${() => set(m, "move")} /> move away</label></p>`}
      </div>`;
    })}</div></section>`;
}

export function Duplicates({ info, onError, onOpen }) {
  const [found, setFound] = useState(null);
  const [level, setLevel] = useState("same");
  const [choices, setChoices] = useState({});
  const [now, setNow] = useState(0);
  const [shown, setShown] = useState(STEP);
  const [plan, setPlan] = useState("");
  useEffect(() => {
    let live = true, timer;
    const load = async () => {
      try {
        const answer = await api.duplicates(0, 1000);
        while (answer.ready && answer.groups.length < Object.values(answer.counts).reduce((a, b) => a + b, 0)) {
          const more = await api.duplicates(answer.groups.length, 1000);
          if (!more.groups.length) break;
          answer.groups.push(...more.groups);
        }
        if (!live) return;
        setFound(answer);
        if (!answer.ready) timer = setTimeout(load, 700);
      } catch (error) { if (live) { onError(error); setFound({ failed: true }); } }
    };
    load();
    return () => { live = false; clearTimeout(timer); };
  }, [info.count]);

  const groups = useMemo(() => (found?.groups ?? []).map((g, i) => [g, i]).filter(([g]) => g.level === level), [found, level]);
  const choiceOf = useCallback((place) => choices[place] ?? suggested(found.groups[place]), [choices, found]);
  const moving = useMemo(() => (found?.groups ?? []).reduce((n, g, i) => n + (choices[i] ?? suggested(g)).move.length, 0), [found, choices]);
  const change = (place, choice) => setChoices((old) => ({ ...old, [place]: choice }));

  const follow = useRef(false); // the view follows the keys, not the page as it comes
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !groups.length || document.querySelector("dialog[open]")) return;
    if (["INPUT", "SELECT"].includes(event.target.tagName) && !["radio", "checkbox"].includes(event.target.type)) return;
    const [group, place] = groups[Math.min(now, groups.length - 1)];
    const number = Number(event.key);
    follow.current = true;
    if (event.key === "j" || event.key === "ArrowDown") { setNow(Math.min(groups.length - 1, now + 1)); if (now + 2 > shown) setShown(shown + STEP); }
    else if (event.key === "k" || event.key === "ArrowUp") setNow(Math.max(0, now - 1));
    else if (number >= 1 && number <= group.members.length && group.level !== "related") {
      const key = group.members[number - 1].key, old = choiceOf(place);
      change(place, { keep: key, move: [...new Set([...(group.level === "same" && old.keep !== key && !group.members.find((m) => m.key === old.keep).protected ? [old.keep] : []), ...old.move])].filter((k) => k !== key) });
    } else if (event.key === "x") change(place, { ...choiceOf(place), move: [] });
    else if (event.key === "r") change(place, suggested(group));
    else if (event.key === "Enter" && event.target.tagName !== "BUTTON") open(group, 0);
    else return;
    event.preventDefault();
  };
  // Before the next key, not after the next picture: it must mean the group that is shown.
  useLayoutEffect(() => { document.addEventListener("keydown", keys); return () => document.removeEventListener("keydown", keys); });

  const write = async () => {
    const chosen = found.groups.flatMap((g, i) => { const c = choiceOf(i); return g.level !== "related" && c.move.length ? [{ keep: c.keep, move: c.move }] : []; });
    try {
      const answer = await api.plan({ chosen });
      download("plan.json", "application/json", JSON.stringify(answer, null, 1));
      setPlan(`plan.json has ${answer.moves.length} photo${answer.moves.length === 1 ? "" : "s"}.`);
    } catch (error) { onError(error); }
  };
  // One of a group, large; the arrows go through the others in the same place, so that the eye sees what differs.
  const open = (group, at) => {
    const start = Math.max(0, Math.min(at - MOST_LARGE / 2, group.members.length - MOST_LARGE));
    const members = group.members.slice(start, start + MOST_LARGE);
    Promise.all(members.map((member) => api.item(member.key))).then((items) => onOpen(items, at - start), onError);
  };

  if (found?.failed) return html`<section class="dups"><h1 class="title">Duplicates could not be found</h1></section>`;
  if (!found?.ready) return html`<section class="dups"><h1 class="title">Looking for duplicates</h1>
    <p role="status">${found ? `${found.stage}${found.of ? `: ${found.done.toLocaleString()} of ${found.of.toLocaleString()}` : ""}` : "starting"} …</p>
    <progress max=${found?.of || 1} value=${found?.done || 0} aria-label="Progress"></progress>
    <p class="quiet">Every photo is read once; the next time this is quick.</p></section>`;
  return html`<section class="dups">
    <div class="planbar"><h1 class="title">Duplicates</h1>
      <button class="main" disabled=${!moving} onClick=${write}>Save plan for ${moving} photo${moving === 1 ? "" : "s"}</button>
      <span class="quiet">No file is changed here. Then: <code>h2q duplicates apply plan.json --to FOLDER</code></span>${plan && html`<b role="status">${plan}</b>`}</div>
    ${found.trouble && html`<p class="error">${found.trouble}</p>`}
    <p class="row" role="group" aria-label="Level">${Object.keys(LEVELS).map((name) => html`<button key=${name} class=${name === level ? "chosen" : ""} aria-pressed=${name === level} onClick=${() => { setLevel(name); setNow(0); setShown(STEP); }}>${name} (${found.counts[name]})</button>`)}</p>
    <p class="quiet">${LEVELS[level]}</p>
    ${groups.length > 0 && html`<p class="quiet keys"><kbd>j</kbd> <kbd>k</kbd> next, previous group · <kbd>1</kbd> … <kbd>9</kbd> keep that one · <kbd>x</kbd> move none · <kbd>r</kbd> as suggested · <kbd>Enter</kbd> look</p>`}
    ${groups.length === 0 ? html`<div class="teach"><h2>None</h2><p>There is no group of level “${level}”.</p></div>`
    : groups.slice(0, shown).map(([group, place], i) => html`<${Group} key=${place} group=${group} number=${place} now=${i === now} follow=${follow} choice=${choiceOf(place)}
        onChange=${(c) => change(place, c)} onNow=${() => setNow(i)} onOpen=${(at) => open(group, at)} />`)}
    ${groups.length > shown && html`<p><button onClick=${() => setShown(shown + STEP)}>Show more of ${groups.length} groups</button></p>`}
  </section>`;
}
