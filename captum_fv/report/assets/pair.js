"use strict";

// One state, one way from it to the page: whatever is done changes `state`, and `render` shows it.
const parse = (id) => JSON.parse(document.getElementById(id).textContent);
const record = parse("record");
const view = parse("view");
const find = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

const NOWHERE = -1;
const MOST_ZOOM = 12;
const LABELLED = 4; // links that get a figure in the photo
const FAINT = 0.05; // of the pair's strongest link: what is not shown
const state = {
  method: 0, masked: false, opacity: 0.8, frame: "face",
  zoom: 1, pan: [0, 0], // in pixels of the aligned face, so that both photos show the same place
  source: 0, region: NOWHERE, pinned: false, place: null, // place: on the aligned face of `source`
  hidden: NOWHERE,
};
const faces = all(".face").map((figure, which) => {
  const part = (name) => find(name, figure);
  const [height, width] = record.photos[which].size;
  const [cropHeight, cropWidth] = record.photos[which].crop_size;
  return { which, letter: "AB"[which], width, height, cropWidth, cropHeight,
    stage: part(".stage"), svg: part("svg"), photo: part(".photo"), crop: part(".crop"), map: part(".map"),
    aligned: part(".aligned"), regions: part(".regions"), cover: part(".cover"), lit: part(".lit"),
    labels: part(".labels"), boxes: part(".boxes") };
});
const rows = all("tr[data-region]");
const form = find(".panel form");
const largestLink = Math.max(...(record.links ?? []).flat().map(Math.abs)) || 1;

const change = (changes) => { Object.assign(state, changes); render(); };
const signed = (value, digits = 3) => {
  const shown = value.toFixed(digits);
  return Number(shown) === 0 ? shown.replace("-", "") : (value > 0 ? "+" : "") + shown.replace("-", "\u2212");
};
const svgElement = (name, attributes, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};
const setText = (element, text) => { if (element.textContent !== text) element.textContent = text; };

// Where the aligned face lies, and which square of the picture is seen.
const matrixOf = (face) => state.frame === "crop" ? [1, 0, 0, 1, 0, 0] : view.matrices[face.which];
const through = ([a, b, c, d, e, f], [x, y]) => [a * x + c * y + e, b * x + d * y + f];

function square(face) {
  const centre = [face.cropWidth / 2, face.cropHeight / 2];
  const [a, b] = matrixOf(face);
  const longest = Math.max(face.cropWidth, face.cropHeight) * Math.hypot(a, b);
  if (state.frame === "crop") return { centre, side: longest };
  const whole = Math.max(face.width, face.height);
  if (state.frame === "photo") return { centre: [face.width / 2, face.height / 2], side: whole };
  const side = Math.min(whole, 1.5 * longest);
  // The face's surroundings, moved into the photo where they reach out of it.
  const inside = (middle, length) => length <= side ? length / 2 : Math.min(Math.max(middle, side / 2), length - side / 2);
  const [x, y] = through(matrixOf(face), centre);
  return { centre: [inside(x, face.width), inside(y, face.height)], side };
}

function viewBox(face) {
  const { centre, side } = square(face);
  const [a, b, c, d] = matrixOf(face);
  const [x, y] = through([a, b, c, d, ...centre], state.pan);
  const seen = side / state.zoom;
  return { x: x - seen / 2, y: y - seen / 2, side: seen };
}

// From the screen to the aligned face.
const toFace = (face) => face.aligned.getScreenCTM().inverse();
const placeOf = (event, inverse) => {
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(inverse);
  return [x, y];
};
const inFace = (face, [x, y]) => x >= 0 && y >= 0 && x < face.cropWidth && y < face.cropHeight;
const regionAt = (face, [x, y]) => record.labels && inFace(face, [x, y]) ? record.labels[Math.floor(y)][Math.floor(x)] : NOWHERE;
const mapAt = (face, [x, y]) => record.methods[state.method].maps[face.which][Math.floor(y)][Math.floor(x)];

// What region i of the source shares with each region of the other photo.
const links = () => {
  if (!record.links || state.region === NOWHERE) return [];
  const effects = record.regions.map((_, other) =>
    state.source === 0 ? record.links[state.region][other] : record.links[other][state.region]);
  return effects.map((effect, region) => ({ region, effect })).sort((one, two) => Math.abs(two.effect) - Math.abs(one.effect));
};

function render() {
  const linked = links();
  for (const face of faces) {
    renderView(face);
    renderMap(face, linked.length > 0);
    renderLit(face, linked);
  }
  renderControls();
  renderRows();
  renderHidden();
  renderWords(linked);
}

function renderView(face) {
  const { x, y, side } = viewBox(face);
  const isCrop = state.frame === "crop";
  face.svg.setAttribute("viewBox", `${x} ${y} ${side} ${side}`);
  face.aligned.setAttribute("transform", `matrix(${matrixOf(face).join(" ")})`);
  face.photo.setAttribute("visibility", isCrop ? "hidden" : "visible");
  face.crop.setAttribute("visibility", isCrop ? "visible" : "hidden");
  face.boxes.setAttribute("visibility", state.frame === "photo" ? "visible" : "hidden");
  face.stage.classList.toggle("zoomed", state.zoom > 1);
}

function renderMap(face, quiet) {
  if (!face.map) return;
  const { plain, masked, words } = view.methods[state.method];
  const layer = (state.masked && masked ? masked : plain)[face.which];
  if (face.map.getAttribute("href") !== layer) face.map.setAttribute("href", layer);
  face.map.setAttribute("opacity", quiet ? state.opacity / 4 : state.opacity); // links have colours of their own
  face.svg.setAttribute("aria-label", words[face.which]);
}

function renderLit(face, linked) {
  const isSource = face.which === state.source;
  const answers = isSource ? [] : linked.filter(({ effect }) => Math.abs(effect) > FAINT * largestLink);
  const shapes = answers.map(({ region, effect }) => {
    const strength = Math.abs(effect) / largestLink;
    const fill = effect > 0 ? "#00691c" : `url(#hatch${face.which})`;
    return svgElement("path", { d: view.outlines[region], fill, "fill-opacity": 0.75 * strength, "fill-rule": "evenodd", stroke: "#fff", "stroke-opacity": strength, "vector-effect": "non-scaling-stroke" });
  });
  if (state.region !== NOWHERE && (isSource || !linked.length)) shapes.push(...ring(view.outlines[state.region]));
  if (state.place) shapes.push(...ring(circle(state.place, isSource ? 1.5 : 2.5)));
  face.lit.replaceChildren(...shapes);
  face.labels.replaceChildren(...figures(face, answers.slice(0, LABELLED)));
  face.cover.replaceChildren(...(state.hidden === NOWHERE ? [] : [svgElement("path", { d: view.outlines[state.hidden], "fill-rule": "evenodd" })]));
}

// White on black, so that it shows on any skin and hair.
const ring = (d) => [["#000", 4], ["#fff", 2]].map(([stroke, width]) =>
  svgElement("path", { d, fill: "none", stroke, "stroke-width": width, "vector-effect": "non-scaling-stroke" }));
const circle = ([x, y], radius) => `M${x - radius} ${y}a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0Z`;

// The figures of links, each in its region; one that would lie on another moves below it.
function figures(face, linked) {
  const size = viewBox(face).side / 20;
  const taken = [];
  return linked.map(({ region, effect }) => {
    let [x, y] = through(matrixOf(face), view.middles[region]);
    while (taken.some(([left, top]) => Math.abs(left - x) < 4 * size && Math.abs(top - y) < size)) y += size / 2;
    taken.push([x, y]);
    return svgElement("text", { x, y: y + size / 3, "font-size": size, "font-weight": 700, fill: "#fff", stroke: "#000", "stroke-width": size / 5, "paint-order": "stroke" }, signed(effect));
  });
}

function renderControls() {
  setText(find("#zoom"), `${state.zoom.toFixed(1)}\u00d7`);
  const method = record.methods[state.method];
  if (!method) return;
  setText(find("#method-note"), method.note);
  setText(find("output[for=opacity]"), `${Math.round(100 * state.opacity)} %`);
  find("#significance").hidden = !view.methods[state.method].masked;
}

function renderRows() {
  for (const row of rows) {
    const region = Number(row.dataset.region);
    row.classList.toggle("lit", region === state.region);
    find(".light", row).setAttribute("aria-pressed", region === state.region && state.pinned);
    find(".hide", row).setAttribute("aria-pressed", region === state.hidden);
  }
}

function renderHidden() {
  const [mark, label] = all(".line .hidden");
  mark.hidden = label.hidden = state.hidden === NOWHERE;
  if (mark.hidden) return;
  const [low, high] = view.line;
  const at = `${100 * (record.regions[state.hidden].score_hidden - low) / (high - low)}%`;
  mark.style.left = at;
  label.style.setProperty("--at", at);
  setText(label, view.fates[state.hidden]);
}

function renderWords(linked) {
  const said = [];
  if (state.hidden !== NOWHERE) said.push(`${upper(view.fates[state.hidden])}.`);
  if (state.region !== NOWHERE) said.push(regionWords(linked));
  setText(find("#said"), said.join(" ") || `Point at a place in a photo${rows.length ? ", or choose a region in the table" : ""}; a click keeps it.`);
  setText(find("#here"), state.place ? placeWords() : "");
}

function regionWords(linked) {
  const { name, contribution, interval } = record.regions[state.region];
  const adds = `adds ${signed(contribution)} (${signed(interval[0])} to ${signed(interval[1])})`;
  if (!linked.length) return `${upper(name)} ${adds}.`;
  const [here, there] = state.source === 0 ? ["A", "B"] : ["B", "A"];
  const list = (sign) => linked.filter(({ effect }) => sign * effect > 0.0005).slice(0, 3)
    .map(({ region, effect }) => `${record.regions[region].name} ${signed(effect)}`).join(", ");
  const parts = [list(1) && `answered in ${there} by ${list(1)}`, list(-1) && `contradicted by ${list(-1)}`].filter(Boolean);
  return `${upper(name)} of ${here}: ${parts.join("; ") || `not answered in ${there}`}. In both photos together it ${adds}.`;
}
const upper = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function placeWords() {
  if (!record.methods.length) return "";
  const values = faces.map((face) => `${signed(100 * mapAt(face, state.place), 0)} % in ${face.letter}`);
  return `Map at this place of the face: ${values.join(", ")} of full colour.`;
}

// Zoom keeps the place under the pointer; without one it keeps the middle.
function zoom(factor, face = null, place = null) {
  const next = factor === 0 ? 1 : Math.min(Math.max(state.zoom * factor, 1), MOST_ZOOM);
  const grown = next / state.zoom;
  let pan = state.pan;
  if (face && place) {
    const { x, y, side } = viewBox(face);
    const matrix = new DOMMatrix(matrixOf(face)).inverse();
    const centre = matrix.transformPoint(new DOMPoint(x + side / 2, y + side / 2));
    pan = [pan[0] + (place[0] - centre.x) * (1 - 1 / grown), pan[1] + (place[1] - centre.y) * (1 - 1 / grown)];
  }
  change({ zoom: next, pan: next === 1 ? [0, 0] : within(pan) });
}
const within = ([x, y]) => {
  const most = Math.max(...faces.map((face) => square(face).side / Math.hypot(...matrixOf(face).slice(0, 2)))) / 2;
  const clip = (value) => Math.min(Math.max(value, -most), most);
  return [clip(x), clip(y)];
};
const move = (x, y) => change({ pan: within([state.pan[0] + x, state.pan[1] + y]) });

function listenToStage(face) {
  let drag = null;
  face.stage.addEventListener("pointerdown", (event) => {
    const inverse = toFace(face);
    drag = { inverse, from: placeOf(event, inverse), pan: state.pan, screen: [event.clientX, event.clientY], moved: false };
  });
  face.stage.addEventListener("dragstart", (event) => event.preventDefault()); // of the picture
  face.stage.addEventListener("pointermove", (event) => {
    if (!event.buttons) drag = null; // which was let go elsewhere
    if (drag && Math.hypot(event.clientX - drag.screen[0], event.clientY - drag.screen[1]) > 4) {
      drag.moved = true;
      if (!face.stage.hasPointerCapture(event.pointerId)) face.stage.setPointerCapture(event.pointerId);
    }
    if (drag && drag.moved && state.zoom > 1) {
      const [x, y] = placeOf(event, drag.inverse);
      change({ pan: within([drag.pan[0] + drag.from[0] - x, drag.pan[1] + drag.from[1] - y]) });
    } else if (!state.pinned) point(face, placeOf(event, toFace(face)));
  });
  face.stage.addEventListener("click", (event) => {
    const place = placeOf(event, toFace(face));
    if (!drag?.moved) pin(face, place);
    drag = null;
  });
  face.stage.addEventListener("pointercancel", () => { drag = null; });
  face.stage.addEventListener("pointerleave", () => { if (!state.pinned) change({ region: NOWHERE, place: null }); });
  face.stage.addEventListener("dblclick", (event) => zoom(2, face, placeOf(event, toFace(face))));
  face.stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.2 : 1 / 1.2, face, placeOf(event, toFace(face)));
  }, { passive: false });
  face.stage.addEventListener("keydown", (event) => {
    const step = face.cropWidth / 12 / state.zoom;
    const act = { "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: () => zoom(0),
      ArrowLeft: () => move(-step, 0), ArrowRight: () => move(step, 0), ArrowUp: () => move(0, -step), ArrowDown: () => move(0, step) }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  });
}

function point(face, place) {
  const seen = inFace(face, place);
  choose(seen ? { source: face.which, place, region: regionAt(face, place) } : { place: null, region: NOWHERE });
}
function pin(face, place) {
  const region = regionAt(face, place);
  const again = state.pinned && state.source === face.which && (region !== NOWHERE || !state.place) && region === state.region;
  state.pinned = inFace(face, place) && !again;
  point(face, place);
}
function choose(changes) {
  const source = form?.elements.source;
  if (source && "source" in changes) source.value = changes.source;
  change(changes);
}

function listenToRow(row) {
  const region = Number(row.dataset.region);
  const light = () => { if (!state.pinned) change({ region, place: null }); };
  const dim = () => { if (!state.pinned) change({ region: NOWHERE }); };
  row.addEventListener("mouseenter", light);
  row.addEventListener("mouseleave", dim);
  row.addEventListener("focusin", light);
  row.addEventListener("focusout", dim);
  find(".light", row).addEventListener("click", () => {
    const again = state.pinned && state.region === region;
    change({ region, pinned: !again, place: null });
  });
  find(".hide", row).addEventListener("click", () => change({ hidden: state.hidden === region ? NOWHERE : region }));
}

// Downloads.
function save(blob, suffix) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `pair${suffix}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
const saveJson = () => save(new Blob([find("#record").textContent], { type: "application/json" }), ".json");

async function savePng() {
  const [side, gap, head] = [720, 24, 88];
  const canvas = document.createElement("canvas");
  canvas.width = 2 * side + 3 * gap;
  canvas.height = side + head + gap;
  const brush = canvas.getContext("2d");
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  brush.fillStyle = "#1b1b1f";
  const blind = find("#blind").checked;
  const shown = record.methods[state.method]?.name;
  brush.font = "600 24px system-ui, sans-serif";
  brush.fillText(blind ? "Decision hidden" : find(".answer.decision h2 + p").textContent, gap, 36, canvas.width - 2 * gap);
  brush.font = "18px system-ui, sans-serif";
  for (const face of faces) {
    const left = gap + face.which * (side + gap);
    brush.fillText(`${face.letter}  ${find(`[data-which="${face.which}"] bdi`).textContent}${shown ? `  \u00b7  ${shown}` : ""}`, left, 72, side);
    const drawn = face.svg.cloneNode(true);
    drawn.setAttribute("width", side);
    drawn.setAttribute("height", side);
    find(".regions", drawn).remove(); // which the page's style shows on hover alone
    const picture = new Image();
    picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(drawn))}`;
    await picture.decode();
    brush.drawImage(picture, left, head, side, side);
  }
  canvas.toBlob((blob) => save(blob, ".png"), "image/png");
}

function listenToControls() {
  const theme = find("#theme");
  const setTheme = (dark) => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    theme.setAttribute("aria-pressed", dark);
  };
  theme.setAttribute("aria-pressed", matchMedia("(prefers-color-scheme: dark)").matches);
  theme.addEventListener("click", () => setTheme(theme.getAttribute("aria-pressed") !== "true"));
  find("#print").addEventListener("click", () => print());
  addEventListener("beforeprint", () => all("details").forEach((details) => { details.open = true; }));
  find("#save-json").addEventListener("click", saveJson);
  find("#save-png").addEventListener("click", savePng);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => change({
    method: () => ({ method: Number(target.value) }),
    opacity: () => ({ opacity: target.value / 100 }),
    masked: () => ({ masked: target.checked }),
    frame: () => ({ frame: target.value, zoom: 1, pan: [0, 0] }),
    source: () => ({ source: Number(target.value) }),
  }[target.name]()));
  for (const button of all("[data-zoom]")) button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
  find("#blind").addEventListener("change", () => change({ hidden: NOWHERE }));
  find("#reveal").addEventListener("click", () => {
    find("#blind").checked = false;
    find("#verdict").focus(); // which reads the decision out
  });
  addEventListener("keydown", ({ key }) => {
    if (key === "Escape") change({ pinned: false, region: NOWHERE, place: null, hidden: NOWHERE });
  });
}

document.documentElement.classList.add("js");
for (const { regions } of faces) regions.append(...view.outlines.map((d) => svgElement("path", { d })));
faces.forEach(listenToStage);
rows.forEach(listenToRow);
listenToControls();
render();
