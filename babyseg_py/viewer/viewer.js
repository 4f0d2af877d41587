// The viewer: what is chosen, what is loaded, and the verdict.
import {VIEWS, drawSlice, voxelAt} from "./slices.js";
import {drawSurfaces, readMesh} from "./surfaces.js";

const $ = id => document.getElementById(id);
const NAMES = Object.keys(VIEWS);
const START = {azimuth: 0.5, tilt: 0.3, zoom: 1};

const about = await fetch("sessions.json").then(reply => reply.json());
const colours = new Map(Object.entries(about.structures).map(([label, of]) => [Number(label), of.colour]));
const scene = {shape: null, cross: null, image: null, labels: null, uncertainty: null, window: [0, 1],
  style: "contours", opacity: 0.6, zoom: 1, colours};
const state = {row: 0, session: null, volumes: new Map(), meshes: [], turn: {...START}, places: {}, visit: 0};

const address = row => `${row.participant}/${row.session}`;
const mmOf = value => (Math.abs(value) < 0.05 ? 0 : value).toFixed(1);
const say = words => { $("message").textContent = words; };

// --- Loading

const ask = async place => {
  const reply = await fetch(place);
  if (!reply.ok) throw new Error((await reply.json()).error);
  return reply;
};

const volume = async number => {
  if (!state.volumes.has(number)) {
    state.volumes.set(number, ask(`volume/${address(about.sessions[state.row])}/${number}`).then(async reply => ({
      ...JSON.parse(reply.headers.get("X-About")), data: new Uint16Array(await reply.arrayBuffer()),
    })));
  }
  return state.volumes.get(number);
};

// Load what is chosen; an answer that comes after another session was chosen is dropped.
const choose = async (kind, number) => {
  const visit = state.visit;
  try {
    const loaded = number === "" ? null : await volume(Number(number));
    if (visit !== state.visit) return;
    scene[kind] = loaded;
    if (kind === "image" && loaded) setWindow(loaded.window);
  } catch (problem) {
    if (visit === state.visit) say(problem.message);
  }
  draw();
};

const open = async number => {
  const visit = ++state.visit, row = about.sessions[number];
  Object.assign(state, {row: number, session: null, volumes: new Map(), meshes: []});
  Object.assign(scene, {shape: null, image: null, labels: null, uncertainty: null, zoom: 1});
  history.replaceState(null, "", `#${address(row)}`);
  document.title = `sub-${row.participant} ses-${row.session}`;
  describe(row);
  say("loading");
  draw();
  try {
    const session = await ask(`session/${address(row)}`).then(reply => reply.json());
    if (visit !== state.visit) return;
    state.session = session;
    fillChoices(session);
    if (!session.shape) {
      say(["Nothing can be shown of this session.", ...row.reasons].join(" "));
      await openSurfaces(session, row, visit);
      return;
    }
    Object.assign(scene, {shape: session.shape, cross: session.shape.map(n => Math.floor(n / 2))});
    for (const name of NAMES) $(`${name}-place`).max = session.shape[VIEWS[name].cut] - 1;
    await Promise.all([choose("image", $("image").value), choose("labels", $("labels").value), showUncertainty()]);
    if (visit !== state.visit) return;
    if (scene.labels) scene.cross = middle(scene.labels.data);
    if ($("message").textContent === "loading") say("");
    await openSurfaces(session, row, visit);
  } catch (problem) {
    if (visit === state.visit) say(problem.message);
  }
  draw();
  document.body.dataset.ready = address(row);
};

const openSurfaces = async (session, row, visit) => {
  for (const [number, {colour}] of session.surfaces.entries()) {
    try {
      const mesh = readMesh(await (await ask(`surface/${address(row)}/${number}`)).arrayBuffer(), colour);
      if (visit !== state.visit) return;
      state.meshes.push(mesh);
    } catch (problem) {
      say(problem.message);
    }
  }
  draw();
};

// The middle of what is labelled, so that the first slices go through the brain.
const middle = data => {
  const [nx, ny] = scene.shape, low = [Infinity, Infinity, Infinity], high = [-1, -1, -1];
  for (let at = 0; at < data.length; at++) {
    if (!data[at]) continue;
    const voxel = [at % nx, Math.floor(at / nx) % ny, Math.floor(at / (nx * ny))];
    for (let k = 0; k < 3; k++) {
      low[k] = Math.min(low[k], voxel[k]);
      high[k] = Math.max(high[k], voxel[k]);
    }
  }
  return high[0] < 0 ? scene.cross : low.map((value, k) => Math.floor((value + high[k]) / 2));
};

// --- Words and choices

const options = (select, items) => select.replaceChildren(...items.map(([value, words]) => new Option(words, value)));

const fillChoices = session => {
  const of = kind => session.layers.map((layer, number) => [number, layer]).filter(([, layer]) => layer.kind === kind);
  options($("image"), of("image").map(([number, layer]) => [number, layer.name]));
  options($("labels"), of("labels").map(([number, layer]) => [number, layer.name]));
  $("uncertainty").disabled = !of("uncertainty").length;
  const n = session.surfaces.length;
  $("surface-words").textContent = n ? `${n} surfaces` : "No surfaces among the results of this session";
};

const describe = row => {
  $("session").value = String(state.row);
  $("status").textContent = row.status;
  $("status").className = `badge ${row.status}`;
  $("reasons").replaceChildren(...row.reasons.map(words => Object.assign(document.createElement("li"), {textContent: words})));
  $("previous").disabled = state.row === 0;
  $("next").disabled = state.row === about.sessions.length - 1;
  document.querySelector(`input[name=verdict][value="${row.verdict}"]`).checked = true;
  $("note").value = row.note;
  $("saved").textContent = "";
  $("zoom").value = 100;
  options($("image"), []);
  options($("labels"), []);
};

const listed = row => {
  const marks = [row.status === "ok" ? "" : row.status, row.verdict && `verdict ${row.verdict}`].filter(Boolean);
  return `sub-${row.participant} ses-${row.session}${marks.length ? ` (${marks.join(", ")})` : ""}`;
};

const setWindow = ([black, white]) => {
  const {low, high} = scene.image, share = value => Math.round((1000 * (value - low)) / Math.max(high - low, 1e-9));
  scene.window = [black, white];
  $("black").value = share(black);
  $("white").value = share(white);
};

const tellPlace = () => {
  for (const name of NAMES) $(`${name}-place`).disabled = !scene.shape;
  if (!scene.shape) {
    $("place").replaceChildren();
    for (const name of NAMES) $(`${name}-mm`).textContent = "";
    return;
  }
  const {voxel_mm: size, origin_mm: origin} = state.session;
  const mm = scene.cross.map((n, k) => origin[k] + n * size);
  const at = scene.cross[0] + scene.shape[0] * (scene.cross[1] + scene.shape[1] * scene.cross[2]);
  const value = layer => layer.low + (layer.data[at] / 65535) * (layer.high - layer.low);
  const rows = [["R, A, S", `${mm.map(mmOf).join(", ")} mm`]];
  if (scene.image) rows.push(["Image", value(scene.image).toPrecision(4)]);
  if (scene.labels) {
    const label = scene.labels.data[at], known = about.structures[label];
    rows.push(["Label", label ? `${known ? known.name : "unknown"} (${label})` : "none", colours.get(label)]);
  }
  if (scene.uncertainty) rows.push(["Uncertainty", value(scene.uncertainty).toFixed(2)]);
  $("place").replaceChildren(...rows.flatMap(([name, words, colour]) => {
    const dt = Object.assign(document.createElement("dt"), {textContent: name});
    const dd = Object.assign(document.createElement("dd"), {textContent: words});
    if (colour) {
      const swatch = Object.assign(document.createElement("span"), {className: "swatch"});
      swatch.style.background = `rgb(${colour.join(" ")})`;
      dd.prepend(swatch);
    }
    return [dt, dd];
  }));
  for (const name of NAMES) {
    const axis = VIEWS[name].cut;
    $(`${name}-place`).value = scene.cross[axis];
    $(`${name}-mm`).textContent = `${mmOf(mm[axis])} mm`;
  }
};

// --- Drawing

const draw = () => {
  if (state.asked) return;
  state.asked = true;
  requestAnimationFrame(() => {
    state.asked = false;
    for (const canvas of document.querySelectorAll("canvas")) {
      const ratio = window.devicePixelRatio || 1;
      const [width, height] = [canvas.clientWidth, canvas.clientHeight].map(n => Math.max(1, Math.round(n * ratio)));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, {width, height});
    }
    for (const name of NAMES) {
      const canvas = $(name);
      if (scene.shape) state.places[name] = drawSlice(canvas, name, scene);
      else canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
    }
    drawSurfaces($("surface"), state.meshes, state.turn);
    tellPlace();
  });
};

const change = values => {
  Object.assign(scene, values);
  draw();
};

const moveCross = (axis, steps) => {
  if (!scene.shape) return;
  const cross = [...scene.cross];
  cross[axis] = Math.min(scene.shape[axis] - 1, Math.max(0, cross[axis] + steps));
  change({cross});
};

const setZoom = zoom => {
  $("zoom").value = Math.round(100 * Math.min(8, Math.max(1, zoom)));
  change({zoom: Number($("zoom").value) / 100});
};

const showUncertainty = () => {
  const number = state.session.layers.findIndex(layer => layer.kind === "uncertainty");
  return choose("uncertainty", $("uncertainty").checked && number >= 0 ? number : "");
};

const setStyle = style => {
  $("style").value = style;
  change({style});
};

const reset = () => {
  state.turn = {...START};
  $("opacity").value = 60;
  change({opacity: 0.6, cross: scene.labels ? middle(scene.labels.data) : scene.cross});
  setStyle("contours");
  setZoom(1);
  if (scene.image) setWindow(scene.image.window);
};

// --- Mouse and keys

for (const name of NAMES) {
  const canvas = $(name), {cut, across, up} = VIEWS[name];
  const point = event => {
    const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
    return [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
  };
  canvas.addEventListener("pointerdown", event => canvas.setPointerCapture(event.pointerId));
  for (const kind of ["pointerdown", "pointermove"]) {
    canvas.addEventListener(kind, event => {
      if (!scene.shape || !event.buttons) return;
      if (event.buttons === 1) change({cross: voxelAt(name, state.places[name], scene.shape, scene.cross, ...point(event))});
      if (event.buttons === 2 && scene.image) {
        const [black, white] = scene.window, range = white - black, step = range / 300;
        const middleGrey = (black + white) / 2 - event.movementY * step, wide = Math.max(range + event.movementX * 2 * step, range / 100);
        setWindow([middleGrey - wide / 2, middleGrey + wide / 2]);
        draw();
      }
    });
  }
  canvas.addEventListener("contextmenu", event => event.preventDefault());
  canvas.addEventListener("wheel", event => {
    event.preventDefault();
    moveCross(cut, event.deltaY > 0 ? -1 : 1);
  }, {passive: false});
  canvas.addEventListener("keydown", event => {
    const moves = {ArrowLeft: [across, -1], ArrowRight: [across, 1], ArrowUp: [up, 1], ArrowDown: [up, -1], PageUp: [cut, 1], PageDown: [cut, -1]};
    if (!moves[event.key]) return;
    event.preventDefault();
    moveCross(...moves[event.key]);
  });
  $(`${name}-place`).addEventListener("input", event => moveCross(cut, Number(event.target.value) - scene.cross[cut]));
}

const turn = (azimuth, tilt) => {
  state.turn.azimuth += azimuth;
  state.turn.tilt = Math.max(-1.57, Math.min(1.57, state.turn.tilt + tilt));
  draw();
};
$("surface").addEventListener("pointerdown", event => $("surface").setPointerCapture(event.pointerId));
$("surface").addEventListener("pointermove", event => {
  if (event.buttons) turn(-event.movementX * 0.01, event.movementY * 0.01);
});
$("surface").addEventListener("wheel", event => {
  event.preventDefault();
  state.turn.zoom = Math.max(0.5, Math.min(8, state.turn.zoom * (event.deltaY > 0 ? 0.9 : 1.1)));
  draw();
}, {passive: false});
$("surface").addEventListener("keydown", event => {
  const turns = {ArrowLeft: [0.1, 0], ArrowRight: [-0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1]};
  if (!turns[event.key]) return;
  event.preventDefault();
  turn(...turns[event.key]);
});

const KEYS = {
  "+": () => setZoom(scene.zoom * 1.25), "=": () => setZoom(scene.zoom * 1.25), "-": () => setZoom(scene.zoom / 1.25),
  c: () => setStyle("contours"), f: () => setStyle("filled"), n: () => setStyle("none"),
  u: () => { $("uncertainty").click(); }, r: reset,
  i: () => {
    const select = $("image");
    if (!select.options.length) return;
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    choose("image", select.value);
  },
};
document.addEventListener("keydown", event => {
  const typing = event.target.closest("textarea, select, input:not([type=range]):not([type=checkbox])");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  KEYS[event.key.toLowerCase()]?.();
});

$("image").addEventListener("change", event => choose("image", event.target.value));
$("labels").addEventListener("change", event => choose("labels", event.target.value));
$("uncertainty").addEventListener("change", () => state.session && showUncertainty());
$("style").addEventListener("change", event => change({style: event.target.value}));
$("opacity").addEventListener("input", event => change({opacity: event.target.value / 100}));
$("zoom").addEventListener("input", event => setZoom(event.target.value / 100));
for (const [place, id] of ["black", "white"].entries()) {
  $(id).addEventListener("input", event => {
    if (!scene.image) return;
    scene.window[place] = scene.image.low + (event.target.value / 1000) * (scene.image.high - scene.image.low);
    draw();
  });
}
$("session").addEventListener("change", event => open(Number(event.target.value)));
$("previous").addEventListener("click", () => state.row > 0 && open(state.row - 1));
$("next").addEventListener("click", () => state.row < about.sessions.length - 1 && open(state.row + 1));
window.addEventListener("resize", draw);

// --- Verdict

$("note").maxLength = about.longest_note;
$("verdict").addEventListener("submit", async event => {
  event.preventDefault();
  const number = state.row, row = about.sessions[number];
  const said = {participant: row.participant, session: row.session, note: $("note").value,
    verdict: document.querySelector("input[name=verdict]:checked").value};
  let words;
  try {
    const reply = await fetch("verdict", {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(said)});
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.error);
    Object.assign(row, answer);
    $("session").options[number].text = listed(row);
    words = answer.verdict ? `Saved in qc_verdicts.tsv: ${answer.verdict}. The next run obeys it.` : "No verdict is kept on this session.";
  } catch (problem) {
    words = `Not saved: ${problem.message}`;
  }
  if (number === state.row) $("saved").textContent = words;
});

$("folder").textContent = `of ${about.folder}`;
options($("session"), about.sessions.map((row, number) => [number, listed(row)]));
const first = about.sessions.findIndex(row => `#${address(row)}` === location.hash);
await open(Math.max(0, first));
if (about.trouble) say(`The verdicts cannot be read: ${about.trouble}`);
