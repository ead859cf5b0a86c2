"use strict";
// The question browser. Its state is in the address's hash, so that every view has a link.
const form = document.getElementById("filters");
const PER_PAGE = 6;
const FILTERS = ["task", "outcome", "arm", "against", "find"];
const STATE = [...FILTERS, "page", "question"]; // this script's part of the address
let matches = [];
let page = 0;
let single = null; // id of the question in the address

function fillSelect(name, entries) {
  for (const [value, label] of entries) form[name].append(element("option", { value }, label));
}

function outcome(score) {
  if (score >= 1 - 1e-9) return "correct";
  return score <= 1e-9 ? "incorrect" : "partial";
}

// Whether the scores of the two selected models differ; with "any model", of any two models.
function disagree(question) {
  const { arm, against, outcome: wanted } = form;
  const scoreOf = (name) => question.responses[data.arms.findIndex((one) => one.name === name)]?.[1];
  const own = scoreOf(arm.value);
  const names = data.arms.filter((one) => !one.is_baseline).map(({ name }) => name);
  const others = (against.value ? [against.value] : names).map(scoreOf);
  return others.some((other) =>
    own !== undefined && other !== undefined &&
    (wanted.value === "better" ? own > other : own !== other));
}

function isMatch(question) {
  if (single) return question.id === single;
  const { task, arm, outcome: wanted, find } = form;
  if (task.value && question.task !== task.value) return false;
  const words = find.value.trim().toLowerCase();
  if (words && !`${question.text} ${question.id}`.toLowerCase().includes(words)) return false;
  if (!wanted.value) return true;
  if (["disagree", "better"].includes(wanted.value)) return disagree(question);
  const response = question.responses[arm.selectedIndex];
  return Boolean(response) && outcome(response[1]) === wanted.value;
}

function imageRow(uris, views, what) {
  const cells = views.map((view, index) =>
    element("figure", {},
      element("img", { src: uris[view], alt: `${what}, number ${index + 1}`, loading: "lazy" }),
      element("figcaption", {}, `image ${index + 1}`)));
  return element("div", { class: "views" }, ...cells);
}

function depthPart(scene, views) {
  const part = element("details", {}, element("summary", {}, "Depth"));
  const add = (label, uris) =>
    part.append(element("p", { class: "name" }, label), imageRow(uris, views, label));
  part.addEventListener("toggle", () => {
    if (part.childElementCount > 1) return;
    if (scene.depth.length) add("ground truth", scene.depth);
    for (const [source, uris] of Object.entries(scene.others)) add(source, uris);
    const [near, far] = scene.range;
    part.append(element("p", { class: "bar" },
      `${near} ${scene.unit}`, element("i"), `${far} ${scene.unit}, grey: unknown`));
  });
  return part;
}

function scoreCell(score) {
  const result = outcome(score);
  const words = { correct: "\u2713 correct", incorrect: "\u2717 incorrect", partial: score.toFixed(2) };
  return element("td", { class: result }, words[result]);
}

function responseRow(response, index) {
  const { label } = data.arms[index];
  const swatch = element("span", { class: `swatch ${data.colours[index]}` });
  swatch.style.borderColor = `var(--${data.colours[index]})`;
  const row = element("tr", {},
    element("th", { scope: "row" }, swatch, label), element("td", {}, response[0] || "(empty)"),
    scoreCell(response[1]));
  if (index === form.arm.selectedIndex && !form.arm.disabled) row.className = "chosen";
  return row;
}

function card(question) {
  const scene = data.scenes[question.scene];
  const task = data.tasks.find(({ name }) => name === question.task);
  const rows = question.responses.flatMap((response, index) =>
    (response ? [responseRow(response, index)] : []));
  const left = element("div", {}, imageRow(scene.images, question.views, "image"));
  const hasDepth = scene.depth.length || Object.keys(scene.others).length;
  if (hasDepth) left.append(depthPart(scene, question.views));
  const right = element("div", {},
    element("p", { class: "text" }, question.text),
    element("p", { class: "name" }, `Correct answer: ${question.answer}`),
    element("table", { class: "responses" }, element("tbody", {}, ...rows)));
  const link = element("a", { href: `#${new URLSearchParams({ question: question.id })}` },
    question.id);
  const title = element("h3", {}, task.label, " ", link);
  if (data.viewed.includes(question.scene)) {
    left.append(element("a", { class: "to3d", href: `#${new URLSearchParams({ scene: question.scene })}` },
      "View this scene in 3D"));
  }
  const { id, task: name } = question;
  return element("article", { class: "card", "data-task": name, tabindex: 0, "aria-label": `Question ${id}` },
    title, left, right);
}

function show() {
  const pages = Math.max(1, Math.ceil(matches.length / PER_PAGE));
  page = Math.min(Math.max(page, 0), pages - 1);
  const part = matches.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
  document.getElementById("cards").replaceChildren(...part.map(card));
  const position = pages > 1 ? `, page ${page + 1} of ${pages}` : "";
  const count = matches.length === 1 ? "1 question" : `${matches.length} questions`;
  document.getElementById("count").textContent = `${count} of ${data.questions.length}${position}`;
  document.getElementById("previous").disabled = page === 0;
  document.getElementById("next").disabled = page === pages - 1;
}

function filter() {
  form.arm.disabled = !form.outcome.value;
  form.against.disabled = !["disagree", "better"].includes(form.outcome.value);
  matches = data.questions.filter(isMatch);
  document.getElementById("all").hidden = !single;
  show();
}

function writeHash() {
  const used = FILTERS.filter((name) => !form[name].disabled);
  const values = Object.fromEntries(used.map((name) => [name, form[name].value]));
  putHash(STATE, { ...values, page: page && page + 1, question: single });
}

function readHash() {
  const state = new URLSearchParams(location.hash.slice(1));
  if (!STATE.some((name) => state.has(name))) return false; // an ordinary link to a section
  for (const name of FILTERS) {
    form[name].value = state.get(name) ?? "";
    if (form[name].selectedIndex === -1) form[name].selectedIndex = 0;
  }
  single = state.get("question");
  page = (Number.parseInt(state.get("page"), 10) || 1) - 1;
  return true;
}

function changePage(by) {
  page += by;
  show();
  writeHash();
}

// Left and right change the page, up and down the question.
function onKey(event) {
  if (event.target.closest("input, select, summary, .scroll")) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const along = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  const cards = [...document.querySelectorAll(".card")];
  const here = cards.indexOf(event.target.closest(".card"));
  if (sideways) {
    changePage(sideways);
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
document.getElementById("previous").addEventListener("click", () => changePage(-1));
document.getElementById("next").addEventListener("click", () => changePage(1));
document.getElementById("all").addEventListener("click", showAll);
document.getElementById("questions").addEventListener("keydown", onKey);
window.addEventListener("hashchange", () => {
  if (!readHash()) return;
  filter();
  if (single) document.getElementById("browser").scrollIntoView();
});
const isLinked = readHash();
filter();
if (isLinked) document.getElementById("browser").scrollIntoView();
