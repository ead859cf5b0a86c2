"use strict";
// The question browser. Its state is the address's hash, so that a view can be linked to.
const data = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("filters");
const PER_PAGE = 6;
const FILTERS = ["task", "outcome", "arm", "against", "find"];
const BROWSED = [...FILTERS, "page", "question"]; // what of the address is this script's
let shown = [];
let page = 0;
let single = null; // the one question that the address names

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children); // strings become text, never markup
  return made;
}

function fillSelect(name, entries) {
  for (const [value, label] of entries) form[name].append(element("option", { value }, label));
}

function outcome(score) {
  if (score >= 1 - 1e-9) return "right";
  return score <= 1e-9 ? "wrong" : "partly";
}

// Which of two models is right, of those chosen; of any models that looked, where one is "any".
function differ(question) {
  const { arm, against, outcome: wanted } = form;
  const scoreOf = (name) => question.replies[data.arms.findIndex((one) => one.name === name)]?.[1];
  const mine = scoreOf(arm.value);
  const names = data.arms.filter(({ baseline }) => !baseline).map(({ name }) => name);
  const others = (against.value ? [against.value] : names).map(scoreOf);
  return others.some((other) =>
    mine !== undefined && other !== undefined &&
    (wanted.value === "better" ? mine > other : mine !== other));
}

function fits(question) {
  if (single) return question.id === single;
  const { task, arm, outcome: wanted, find } = form;
  if (task.value && question.task !== task.value) return false;
  const words = find.value.trim().toLowerCase();
  if (words && !`${question.text} ${question.id}`.toLowerCase().includes(words)) return false;
  if (!wanted.value) return true;
  if (["differ", "better"].includes(wanted.value)) return differ(question);
  const reply = question.replies[arm.selectedIndex];
  return Boolean(reply) && outcome(reply[1]) === wanted.value;
}

function pictures(uris, views, what) {
  const cells = views.map((view, place) =>
    element("figure", {},
      element("img", { src: uris[view], alt: `${what}, number ${place + 1}`, loading: "lazy" }),
      element("figcaption", {}, `image ${place + 1}`)));
  return element("div", { class: "views" }, ...cells);
}

function depthPart(scene, views) {
  const part = element("details", {}, element("summary", {}, "Depth"));
  const add = (label, uris) =>
    part.append(element("p", { class: "name" }, label), pictures(uris, views, label));
  part.addEventListener("toggle", () => {
    if (part.childElementCount > 1) return;
    if (scene.depth.length) add("scene's own depth", scene.depth);
    for (const [whose, uris] of Object.entries(scene.others)) add(whose, uris);
    const [near, far] = scene.range;
    part.append(element("p", { class: "bar" },
      `${near} ${scene.unit}`, element("i"), `${far} ${scene.unit}, grey: unknown`));
  });
  return part;
}

function verdict(score) {
  const found = outcome(score);
  const words = { right: "\u2713 right", wrong: "\u2717 wrong", partly: score.toFixed(2) };
  return element("td", { class: found }, words[found]);
}

function replyRow(reply, index) {
  const { label } = data.arms[index];
  const swatch = element("span", { class: `swatch ${data.colours[index]}` });
  swatch.style.borderColor = `var(--${data.colours[index]})`;
  const row = element("tr", {},
    element("th", { scope: "row" }, swatch, label), element("td", {}, reply[0] || "(nothing)"),
    verdict(reply[1]));
  if (index === form.arm.selectedIndex && !form.arm.disabled) row.className = "chosen";
  return row;
}

function card(question) {
  const scene = data.scenes[question.scene];
  const task = data.tasks.find(({ name }) => name === question.task);
  const rows = question.replies.flatMap((reply, index) => (reply ? [replyRow(reply, index)] : []));
  const left = element("div", {}, pictures(scene.images, question.views, "image"));
  const some = scene.depth.length || Object.keys(scene.others).length;
  if (some) left.append(depthPart(scene, question.views));
  const right = element("div", {},
    element("p", { class: "text" }, question.text),
    element("p", { class: "name" }, `Right answer: ${question.answer}`),
    element("table", { class: "replies" }, element("tbody", {}, ...rows)));
  const link = element("a", { href: `#${new URLSearchParams({ question: question.id })}` },
    question.id);
  const title = element("h3", {}, task.label, " ", link);
  if (data.viewed.includes(question.scene)) {
    left.append(element("a", { class: "to3d", href: `#${new URLSearchParams({ scene: question.scene })}` },
      "See this scene in 3D"));
  }
  const { id, task: name } = question;
  return element("article", { class: "card", "data-task": name, tabindex: 0, "aria-label": `Question ${id}` },
    title, left, right);
}

function show() {
  const pages = Math.max(1, Math.ceil(shown.length / PER_PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  const part = shown.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
  document.getElementById("cards").replaceChildren(...part.map(card));
  const place = pages > 1 ? `, page ${page + 1} of ${pages}` : "";
  const count = shown.length === 1 ? "1 question" : `${shown.length} questions`;
  document.getElementById("count").textContent = `${count} of ${data.questions.length}${place}`;
  document.getElementById("previous").disabled = page === 0;
  document.getElementById("next").disabled = page === pages - 1;
}

function filter() {
  form.arm.disabled = !form.outcome.value;
  form.against.disabled = !["differ", "better"].includes(form.outcome.value);
  shown = data.questions.filter(fits);
  document.getElementById("all").hidden = !single;
  show();
}

// Puts `values` of `names` into the address, and leaves there what is another script's.
function putHash(names, values) {
  const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  for (const name of names) {
    if (values[name]) state.set(name, values[name]);
    else state.delete(name);
  }
  history.replaceState(null, "", `#${state}`);
}

function writeHash() {
  const used = FILTERS.filter((name) => !form[name].disabled);
  const values = Object.fromEntries(used.map((name) => [name, form[name].value]));
  putHash(BROWSED, { ...values, page: page && page + 1, question: single });
}

function readHash() {
  const state = new URLSearchParams(location.hash.slice(1));
  if (!BROWSED.some((name) => state.has(name))) return false; // an ordinary link to a section
  for (const name of FILTERS) {
    form[name].value = state.get(name) ?? "";
    if (form[name].selectedIndex === -1) form[name].selectedIndex = 0;
  }
  single = state.get("question");
  page = (Number.parseInt(state.get("page"), 10) || 1) - 1;
  return true;
}

function turn(by) {
  page += by;
  show();
  writeHash();
}

// Left and right turn the pages; up and down go from question to question.
function step(event) {
  if (event.target.closest("input, select, summary, .scroll")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const along = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const cards = [...document.querySelectorAll(".card")];
  const here = cards.indexOf(event.target.closest(".card"));
  if (sideways) {
    turn(sideways);
    document.querySelector(".card")?.focus();
  } else if (along && here >= 0 && cards[here + along]) cards[here + along].focus();
  else return;
  event.preventDefault();
}

function showAll() {
  single = null;
  filter();
  writeHash();
}

fillSelect("task", [["", "all"], ...data.tasks.map(({ name, label }) => [name, label])]);
fillSelect("arm", data.arms.map(({ name, label }) => [name, label]));
fillSelect("against", [["", "any model"], ...data.arms.map(({ name, label }) => [name, label])]);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  page = 0;
  single = null;
  filter();
  writeHash();
});
document.getElementById("previous").addEventListener("click", () => turn(-1));
document.getElementById("next").addEventListener("click", () => turn(1));
document.getElementById("all").addEventListener("click", showAll);
document.getElementById("questions").addEventListener("keydown", step);
window.addEventListener("hashchange", () => {
  if (!readHash()) return;
  filter();
  if (single) document.getElementById("browser").scrollIntoView();
});
const linked = readHash();
filter();
if (linked) document.getElementById("browser").scrollIntoView();
