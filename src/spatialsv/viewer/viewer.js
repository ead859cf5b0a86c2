"use strict";
// The 3D viewer: reference and predicted geometry of a scene, from the same viewpoint.
const clouds = JSON.parse(document.getElementById("clouds").textContent);
const controls3d = document.getElementById("view");
const canvas3d = document.getElementById("canvas");
const VIEW_KEYS = ["scene", "truth", "model", "show", "colour"];
const ROTATION = Math.PI / 24; // per key press
const world = { renderer: null, parts: {}, distance: 1, loading: 0 };

function sourcesOf(kind) {
  return clouds.sources.map((source, number) => ({ ...source, number }))
    .filter((source) => source.kind === kind);
}

function chosenCloud(part) {
  const number = Number(controls3d[part].value);
  if (controls3d[part].value === "") return undefined;
  return clouds.scenes[controls3d.scene.value].find((cloud) => cloud.source === number);
}

function startViewer() {
  if (!document.createElement("canvas").getContext("webgl2")) {
    document.getElementById("panes").replaceChildren(
      element("p", { class: "none" }, "This browser has no WebGL, which the 3D view needs."));
    for (const part of document.querySelectorAll("#view, .under")) part.hidden = true;
    return;
  }
  const { PerspectiveCamera, Scene, WebGLRenderer, OrbitControls } = THREE;
  world.renderer = new WebGLRenderer({ canvas: canvas3d, antialias: true, alpha: true });
  world.renderer.outputColorSpace = "srgb-linear"; // colours stay unchanged
  world.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
  world.renderer.setScissorTest(true);
  world.scene = new Scene();
  world.camera = new PerspectiveCamera(50, 1, 0.01, 100);
  world.orbit = new OrbitControls(world.camera, canvas3d);
  world.orbit.addEventListener("change", draw);
  setFocus(false);
  canvas3d.addEventListener("focus", () => setFocus(true));
  canvas3d.addEventListener("blur", () => setFocus(false));
  canvas3d.addEventListener("click", () => canvas3d.focus({ preventScroll: true }));
  canvas3d.addEventListener("pointerdown", ({ pointerType }) => {
    world.orbit.enableZoom = true;
    if (pointerType === "mouse") canvas3d.focus({ preventScroll: true });
  });
  canvas3d.addEventListener("keydown", onViewKey);
  new ResizeObserver(draw).observe(document.getElementById("panes"));
  loadScene();
}

// Without focus, the wheel and vertical swipes scroll the page.
function setFocus(isFocused) {
  world.orbit.enableZoom = isFocused;
  canvas3d.style.touchAction = isFocused ? "none" : "pan-y";
}

async function loadScene() {
  if (!world.renderer) return; // not yet on screen, or no WebGL
  const turn = ++world.loading; // a later selection replaces this one
  const { scene, colour } = controls3d;
  const parts = {};
  for (const part of ["truth", "model"]) {
    const cloud = chosenCloud(part);
    if (cloud) parts[part] = await buildPart(cloud, scene.value, colour.value);
  }
  if (turn !== world.loading) return;
  Object.values(world.parts).forEach(dropPart);
  world.parts = parts;
  for (const { points, lines } of Object.values(parts)) world.scene.add(points, lines);
  if (world.current !== scene.value) {
    world.current = scene.value;
    resetView();
    addCameraButtons();
  }
  describe();
  draw();
}

async function buildPart(cloud, scene, colour) {
  const { BufferAttribute, BufferGeometry, LineBasicMaterial, LineSegments } = THREE;
  const { positions, pixels } = cloudPoints(cloud);
  const all = cloud[colour]
    ? scaleColours(decode(cloud[colour]), clouds.scales[colour])
    : await imageColours(data.scenes[scene].images, cloud);
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(positions, 3));
  geometry.setAttribute("color", new BufferAttribute(selectColours(all, pixels), 3, true));
  const points = new THREE.Points(geometry, new THREE.PointsMaterial({ vertexColors: true }));
  const { ends, colours } = frusta(cloud, 0.06 * cloud.top);
  const edges = new BufferGeometry();
  edges.setAttribute("position", new BufferAttribute(ends, 3));
  edges.setAttribute("color", new BufferAttribute(colours, 3, true));
  return { cloud, points, lines: new LineSegments(edges, new LineBasicMaterial({ vertexColors: true })) };
}

function dropPart({ points, lines }) {
  for (const object of [points, lines]) {
    world.scene.remove(object);
    object.geometry.dispose();
    object.material.dispose();
  }
}

// From behind and above the first camera, towards the median of the points.
function resetView() {
  const { points } = Object.values(world.parts)[0] ?? {};
  if (!points) return;
  const { array } = points.geometry.attributes.position;
  const median = (values) => values.sort()[Math.floor(values.length / 2)] ?? 0; // robust to outliers
  const along = [0, 1, 2].map((axis) => array.filter((_, at) => at % 3 === axis));
  const medians = along.map((values) => median(values.slice()));
  const distances = along[0].map((_, at) => Math.hypot(...along.map((v, axis) => v[at] - medians[axis])));
  const centre = new THREE.Vector3(...medians);
  const distance = 2.9 * median(distances) + 0.1;
  world.orbit.target.copy(centre);
  world.camera.position.set(0.45, 0.62, 0.75).normalize().multiplyScalar(distance).add(centre);
  world.orbit.update();
}

// From the camera of one view of the first visible part.
function viewFromCamera(view) {
  const { cloud } = world.parts[panes()[0]] ?? {};
  if (!cloud || view >= cloud.size[0]) return;
  const ahead = 0.4 * cloud.top;
  world.camera.position.set(...toWorld(cloud, view, 0, 0, -0.02 * cloud.top));
  world.orbit.target.set(...toWorld(cloud, view, 0, 0, ahead));
  world.orbit.update();
}

function panes() {
  const wanted = { both: ["truth", "model"], truth: ["truth"], model: ["model"] };
  const available = wanted[controls3d.show.value].filter((part) => world.parts[part]);
  return available.length ? available : Object.keys(world.parts);
}

function draw() {
  if (!world.renderer || world.waiting) return;
  world.waiting = true;
  requestAnimationFrame(() => {
    world.waiting = false;
    drawNow();
  });
}

function drawNow() {
  const { renderer, camera, scene, parts } = world;
  const { clientWidth: width, clientHeight: height } = document.getElementById("panes");
  renderer.setSize(width, height, false);
  const visible = panes();
  const stacked = width < height;
  const [across, down] = stacked ? [width, height / visible.length] : [width / visible.length, height];
  document.getElementById("panes").classList.toggle("stacked", stacked);
  visible.forEach((part, index) => {
    const [left, bottom] = stacked ? [0, height - (index + 1) * down] : [index * across, 0];
    renderer.setViewport(left, bottom, across, down);
    renderer.setScissor(left, bottom, across, down);
    for (const [name, { points, lines }] of Object.entries(parts)) {
      points.visible = name === part;
      points.material.size = pointSize(parts[name].cloud) / (stacked ? visible.length : 1);
      lines.visible = name === part && controls3d.cameras.checked;
    }
    camera.aspect = across / down;
    camera.updateProjectionMatrix();
    renderer.render(scene, camera);
  });
  canvas3d.dataset.points = visible.map((part) => parts[part].points.geometry.attributes.position.count);
}

// A point covers the gap to its neighbour at three quarters of the depth. three.js measures sizes
// relative to the canvas's height and ignores the camera's field of view.
function pointSize(cloud) {
  return (0.75 * cloud.top) / cloud.K[0] / Math.tan((Math.PI / 360) * world.camera.fov);
}

function onViewKey(event) {
  const { orbit, camera } = world;
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  const keys = { "+": 1 / 1.15, "=": 1 / 1.15, "-": 1.15 };
  const offset = camera.position.clone().sub(orbit.target);
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (arrows[event.key] && event.shiftKey) {
    const [across, down] = arrows[event.key];
    const step = offset.length() / 20;
    const move = new THREE.Vector3(step * across, -step * down, 0).applyQuaternion(camera.quaternion);
    camera.position.add(move);
    orbit.target.add(move);
  } else if (arrows[event.key]) {
    const [across, down] = arrows[event.key];
    const spherical = new THREE.Spherical().setFromVector3(offset);
    spherical.theta += ROTATION * across;
    spherical.phi = Math.min(Math.max(spherical.phi + ROTATION * down, 0.01), Math.PI - 0.01);
    camera.position.setFromSpherical(spherical).add(orbit.target);
  } else if (keys[event.key]) {
    camera.position.copy(orbit.target).add(offset.multiplyScalar(keys[event.key]));
  } else if (/^[1-9]$/.test(event.key)) {
    viewFromCamera(Number(event.key) - 1);
  } else if (event.key === "0" || event.key === "Home") {
    resetView();
  } else if (event.key === "t") {
    controls3d.show.value = controls3d.show.value === "model" ? "truth" : "model";
    onChange();
  } else return;
  event.preventDefault();
  orbit.update();
  draw();
}

// The scene's images as buttons that select the view of their camera.
function addCameraButtons() {
  const { images } = data.scenes[controls3d.scene.value];
  document.getElementById("looks").replaceChildren(...images.map((uri, view) => {
    const label = `View from camera ${view + 1}`;
    const button = element("button", { type: "button", title: label },
      element("img", { src: uri, alt: label }));
    button.style.borderColor = `rgb(${VIEW_COLOURS[view % VIEW_COLOURS.length]})`;
    button.addEventListener("click", () => viewFromCamera(view));
    return button;
  }));
}

// Update the labels of the panes, the colour scale, and the sentence on the error.
function describe() {
  const { colour } = controls3d;
  const names = panes().map((part) => {
    const { label } = clouds.sources[world.parts[part].cloud.source];
    return element("span", {}, label);
  });
  document.getElementById("names").replaceChildren(...names);
  const model = world.parts.model?.cloud;
  const error = model?.error ? medianError(model) : null;
  const limit = `${100 * clouds.max_error} %`;
  const amount = error >= clouds.max_error ? `at least ${limit}` : `${(100 * error).toFixed(1)} %`;
  const isProbed = model && clouds.sources[model.source].name.startsWith("probed");
  const cameras = isProbed ? " A probe predicts no cameras: these are the reference ones." : "";
  document.getElementById("summary").textContent = error === null
    ? "" : `Median relative depth error of the model: ${amount}, without alignment.${cameras}`;
  const bar = document.getElementById("scale");
  const scaled = Object.values(world.parts).find(({ cloud }) => cloud[colour.value])?.cloud;
  bar.hidden = !scaled;
  if (!scaled) return;
  const [low, high] = colour.value === "error" ? ["0 %", `${limit} of the depth`] : scaled.confidence_range;
  const strip = element("i");
  strip.style.background = `linear-gradient(90deg, ${clouds.scales[colour.value]})`;
  bar.replaceChildren(`${low}`, strip, `${high}; grey: unknown`);
}

function onChange() {
  putHash(VIEW_KEYS, Object.fromEntries(VIEW_KEYS.map((name) => [name, controls3d[name].value])));
  loadScene();
}

// Set the controls from the address. Return whether it has a scene of this page.
function readView() {
  const state = new URLSearchParams(location.hash.slice(1));
  for (const name of VIEW_KEYS) {
    const before = controls3d[name].value;
    if (state.has(name)) controls3d[name].value = state.get(name);
    if (controls3d[name].value !== state.get(name)) controls3d[name].value = before;
  }
  return Object.hasOwn(clouds.scenes, state.get("scene"));
}

function stepScene(by) {
  const { scene } = controls3d;
  scene.selectedIndex = (scene.selectedIndex + by + scene.length) % scene.length;
  onChange();
}

for (const [part, kind] of [["truth", "reference"], ["model", "model"]]) {
  const sources = sourcesOf(kind);
  controls3d[part].append(...sources.map(({ number, label }) => element("option", { value: number }, label)));
  controls3d[part].closest("label").hidden = sources.length < 2;
}
controls3d.scene.append(...Object.keys(clouds.scenes).map((name) => element("option", { value: name }, name)));
// Controls without a choice are hidden.
document.querySelector("#view .steps").hidden = Object.keys(clouds.scenes).length < 2;
document.getElementById("shown").hidden = !sourcesOf("reference").length || !sourcesOf("model").length;
for (const choice of controls3d.colour) {
  const isKnown = (cloud) => choice.value === "image" || choice.value in cloud;
  choice.closest("label").hidden = !Object.values(clouds.scenes).flat().some(isKnown);
}
controls3d.addEventListener("submit", (event) => event.preventDefault());
controls3d.addEventListener("input", onChange);
document.getElementById("before").addEventListener("click", () => stepScene(-1));
document.getElementById("after").addEventListener("click", () => stepScene(1));
document.getElementById("reset").addEventListener("click", resetView);
window.addEventListener("hashchange", () => {
  if (!readView()) return;
  loadScene();
  document.getElementById("space").scrollIntoView();
});
if (readView()) document.getElementById("space").scrollIntoView();
new IntersectionObserver((entries, observer) => { // start when the view is almost on screen
  if (!entries.some((entry) => entry.isIntersecting)) return;
  observer.disconnect();
  startViewer();
}, { rootMargin: "400px" }).observe(canvas3d);
