"use strict";
// The question browser. Its state is the address's hash, so that a view can be linked to.
const data = JSON.parse(document.getElementById("data").textContent);
const form = document.getElementById("filters");
const PER_PAGE = 6;
let shown = [];
let page = 0;

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

function fits(question) {
  const { task, arm, outcome: wanted, find } = form;
  if (task.value && question.task !== task.value) return false;
  const words = find.value.trim().toLowerCase();
  if (words && !`${question.text} ${question.id}`.toLowerCase().includes(words)) return false;
  const replies = question.replies.filter((reply) => reply);
  if (wanted.value === "disagree") return new Set(replies.map((reply) => reply[1])).size > 1;
  if (!wanted.value) return true;
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
    for (const { name, label } of data.lifted) {
      if (scene.lifted[name]) add(`lifted by ${label}`, scene.lifted[name]);
    }
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
  const some = scene.depth.length || Object.keys(scene.lifted).length;
  if (some) left.append(depthPart(scene, question.views));
  const right = element("div", {},
    element("p", { class: "text" }, question.text),
    element("p", { class: "name" }, `Right answer: ${question.answer}`),
    element("table", { class: "replies" }, element("tbody", {}, ...rows)));
  const title = element("h3", {}, task.label, " ", element("span", {}, question.id));
  return element("article", { class: "card", "data-task": question.task }, title, left, right);
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
  form.arm.disabled = ["", "disagree"].includes(form.outcome.value);
  shown = data.questions.filter(fits);
  show();
}

function writeHash() {
  const state = new URLSearchParams();
  for (const name of ["task", "arm", "outcome", "find"]) {
    if (form[name].value && !form[name].disabled) state.set(name, form[name].value);
  }
  if (page) state.set("page", page + 1);
  history.replaceState(null, "", `#${state}`);
}

function readHash() {
  const state = new URLSearchParams(location.hash.slice(1));
  const known = ["task", "arm", "outcome", "find", "page"].some((name) => state.has(name));
  if (!known) return false; // an ordinary link to a section
  for (const name of ["task", "arm", "outcome", "find"]) {
    const value = state.get(name) ?? "";
    form[name].value = value;
    if (form[name].selectedIndex === -1) form[name].selectedIndex = 0;
  }
  page = (Number.parseInt(state.get("page"), 10) || 1) - 1;
  return true;
}

function turn(by) {
  page += by;
  show();
  writeHash();
}

fillSelect("task", [["", "all"], ...data.tasks.map(({ name, label }) => [name, label])]);
fillSelect("arm", data.arms.map(({ name, label }) => [name, label]));
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  page = 0;
  filter();
  writeHash();
});
document.getElementById("previous").addEventListener("click", () => turn(-1));
document.getElementById("next").addEventListener("click", () => turn(1));
window.addEventListener("hashchange", () => {
  if (readHash()) filter();
});
const linked = readHash();
filter();
if (linked) document.getElementById("browser").scrollIntoView();
