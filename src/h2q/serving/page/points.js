// Points of a map: drawn by WebGL or on a canvas where there is none, found by where they lie.
//
// The usual libraries (regl and what builds on it) compile functions from text, which the page's
// content security policy forbids; one shader is all a map of points needs.

const VERTEX = `attribute vec2 place; attribute vec4 colour; uniform vec2 scale, shift; uniform float size;
varying vec4 paint; void main() { gl_Position = vec4(place * scale + shift, 0.0, 1.0); gl_PointSize = size * (colour.a > 0.95 ? 1.6 : 1.0); paint = colour; }`;
const FRAGMENT = `precision mediump float; varying vec4 paint; void main() {
float a = paint.a * (1.0 - smoothstep(0.38, 0.5, length(gl_PointCoord - 0.5))); gl_FragColor = vec4(paint.rgb * a, a); }`;

export function webgl(canvas) {
  const gl = canvas.getContext("webgl", { antialias: false, depth: false, premultipliedAlpha: true });
  if (!gl) return null;
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return null;
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const buffers = { place: gl.createBuffer(), colour: gl.createBuffer() };
  const uniform = Object.fromEntries(["scale", "shift", "size"].map((n) => [n, gl.getUniformLocation(program, n)]));
  const feed = (name, data, width, type, normalized) => {
    gl.bindBuffer(gl.ARRAY_BUFFER, buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    const where = gl.getAttribLocation(program, name);
    gl.enableVertexAttribArray(where);
    gl.vertexAttribPointer(where, width, type, normalized, 0, 0);
  };
  return {
    kind: "webgl",
    places: (data) => feed("place", data, 2, gl.FLOAT, false),
    colours: (data) => feed("colour", data, 4, gl.UNSIGNED_BYTE, true),
    draw(ranges, view, size) {
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.uniform2f(uniform.scale, view.sx, view.sy);
      gl.uniform2f(uniform.shift, view.tx, view.ty);
      gl.uniform1f(uniform.size, size);
      for (const [first, count] of ranges) if (count) gl.drawArrays(gl.POINTS, first, count);
    },
  };
}

export function canvas2d(canvas) {
  const draw = canvas.getContext("2d");
  let places, colours;
  return {
    kind: "canvas",
    places: (data) => { places = data; },
    colours: (data) => { colours = data; },
    draw(ranges, view, size) {
      const { width, height } = canvas;
      draw.clearRect(0, 0, width, height);
      let last = "";
      for (const [first, count] of ranges) for (let i = first; i < first + count; i++) {
        const x = ((places[2 * i] * view.sx + view.tx + 1) / 2) * width;
        const y = ((1 - (places[2 * i + 1] * view.sy + view.ty)) / 2) * height;
        if (x < 0 || y < 0 || x > width || y > height) continue;
        const paint = `rgba(${colours[4 * i]},${colours[4 * i + 1]},${colours[4 * i + 2]},${colours[4 * i + 3] / 255})`;
        if (paint !== last) draw.fillStyle = last = paint;
        draw.fillRect(x - size / 2, y - size / 2, size, size);
      }
    },
  };
}

// Points by square, so that the one under the pointer is found at once.
export function squares(places, count) {
  const side = Math.max(8, Math.min(256, Math.ceil(Math.sqrt(count / 4))));
  const cells = new Map();
  const at = (v) => Math.min(side - 1, Math.max(0, Math.floor(((v + 1) / 2) * side)));
  for (let i = 0; i < count; i++) {
    const cell = at(places[2 * i]) * side + at(places[2 * i + 1]);
    const list = cells.get(cell);
    if (list) list.push(i); else cells.set(cell, [i]);
  }
  return (x, y, reach) => {
    let best = -1, least = reach * reach;
    for (let a = at(x - reach); a <= at(x + reach); a++)
      for (let b = at(y - reach); b <= at(y + reach); b++)
        for (const i of cells.get(a * side + b) ?? []) {
          const distance = (places[2 * i] - x) ** 2 + (places[2 * i + 1] - y) ** 2;
          if (distance < least) { least = distance; best = i; }
        }
    return best;
  };
}

export function inside(polygon, x, y) {
  let odd = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) odd = !odd;
  }
  return odd;
}

export function placesInside(polygon, places) {
  const out = [];
  for (let i = 0; i < places.length / 2; i++) if (inside(polygon, places[2 * i], places[2 * i + 1])) out.push(i);
  return out;
}

// All places in an order drawn by lot, so that the first of them are a fair sample; the same each time.
export function shuffled(count, seed = 1) {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = 0; i < 8; i++) seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0; // numbers nearby begin far apart
  for (let i = count - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
