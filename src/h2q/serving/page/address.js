// What is shown, as the query string: back, forward and sharing work.

// view, like: [[kind, value]], unlike, rank, k, radius, distinct, facets: {key: [texts]}, from and to: dates,
// order: "newest" or "shuffled-NUMBER", size: "small" or "large",
// lasso: [[x, y]] in the map made by `method`
export const START = {
  view: "photos", like: [], unlike: [], rank: "", k: 60, radius: null, distinct: null,
  facets: {}, from: "", to: "", lasso: null, method: "tsne", colour: "", order: "", size: "",
};

const VIEWS = ["photos", "map", "duplicates", "about"];
const MAPS = ["tsne", "pca", "opentsne"];
const KINDS = { key: "item", photo: "photo", text: "text", code: "code" };
const BACK = Object.fromEntries(Object.entries(KINDS).map(([k, v]) => [v, k]));

function points(params, name) {
  return params.getAll(name).flatMap((entry) => {
    const cut = entry.indexOf(":");
    const kind = BACK[entry.slice(0, cut)];
    return kind ? [[kind, entry.slice(cut + 1)]] : [];
  }).slice(0, 16);
}

const whole = (text, low, high) => {
  const value = text === null || text === "" ? NaN : Number(text);
  return Number.isInteger(value) && value >= low && value <= high ? value : null;
};

const day = (text) => (/^\d{4}-\d\d-\d\d$/.test(text ?? "") && !Number.isNaN(Date.parse(text)) ? text : "");

export function read(search) {
  const params = new URLSearchParams(search);
  const facets = {};
  for (const entry of params.getAll("only")) {
    const cut = entry.indexOf("=");
    if (cut > 0) (facets[entry.slice(0, cut)] ??= []).push(entry.slice(cut + 1));
  }
  const corners = (params.get("lasso") ?? "").split(" ").filter(Boolean)
    .map((pair) => pair.split(",").map(Number));
  const sound = corners.length >= 3 && corners.every((c) => c.length === 2 && c.every(Number.isFinite));
  return {
    view: VIEWS.includes(params.get("view")) ? params.get("view") : START.view,
    like: points(params, "like"),
    unlike: points(params, "unlike"),
    rank: params.get("rank") ?? "",
    k: whole(params.get("k"), 1, 10000) ?? START.k,
    radius: whole(params.get("radius"), 0, 1e6),
    distinct: whole(params.get("distinct"), 0, 1e6),
    facets,
    from: day(params.get("from")),
    to: day(params.get("to")),
    lasso: sound ? corners : null,
    method: MAPS.includes(params.get("map")) ? params.get("map") : START.method,
    colour: params.get("colour") ?? "",
    order: /^(newest|shuffled-[1-9]\d{0,8})$/.test(params.get("order") ?? "") ? params.get("order") : "",
    size: ["small", "large"].includes(params.get("size")) ? params.get("size") : "",
  };
}

export function write(state) {
  const params = new URLSearchParams();
  if (state.view !== START.view) params.set("view", state.view);
  for (const [kind, value] of state.like) params.append("like", `${KINDS[kind]}:${value}`);
  for (const [kind, value] of state.unlike) params.append("unlike", `${KINDS[kind]}:${value}`);
  if (state.rank) params.set("rank", state.rank);
  if (state.k !== START.k) params.set("k", state.k);
  if (state.radius !== null) params.set("radius", state.radius);
  if (state.distinct !== null) params.set("distinct", state.distinct);
  for (const [key, values] of Object.entries(state.facets))
    for (const value of values) params.append("only", `${key}=${value}`);
  if (state.from) params.set("from", state.from);
  if (state.to) params.set("to", state.to);
  if (state.lasso)
    params.set("lasso", state.lasso.map(([x, y]) => `${x.toFixed(3)},${y.toFixed(3)}`).join(" "));
  if (state.method !== START.method) params.set("map", state.method);
  if (state.colour) params.set("colour", state.colour);
  if (state.order) params.set("order", state.order);
  if (state.size) params.set("size", state.size);
  const text = params.toString();
  return text ? `?${text}` : "/";
}

// The condition that the filters mean: of each facet any of the chosen values, and between the dates.
export function condition({ facets, from, to }, known) {
  const parts = [];
  for (const [key, values] of Object.entries(facets)) {
    const facet = known?.find((f) => f.key === key);
    const any = values.map((v) => facet?.values.find((each) => each.text === v)?.where ?? { [key]: v });
    if (any.length) parts.push(any.length === 1 ? any[0] : { $or: any });
  }
  if (from) parts.push({ taken: { $gte: from } });
  if (to) parts.push({ taken: { $lt: new Date(Date.parse(to) + 864e5).toISOString().slice(0, 10) } }); // the day itself is in
  return parts.length === 0 ? null : parts.length === 1 ? parts[0] : { $and: parts };
}
