"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  const FIRST_CHANGES = 12;
  /** No word for so long, in ms: the connection is dead, whatever the browser believes. */
  const SILENCE = 25000;
  /** A pass that has not ended for so long, in ms, is not waited for. */
  const PATIENCE = 60000;
  const secret = document.querySelector("meta[name=dato-mirror-page]").content;

  // Words and figures. Names of files are somebody else's: they are shown, as text, and never understood.
  const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;
  const number = (value) => Number(value).toLocaleString("en");
  const bytes = (value) => {
    let unit = 0;
    const units = ["B", "kB", "MB", "GB", "TB"];
    while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
    return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)}\u00a0${units[unit]}`;
  };
  const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10000 ? 1 : 0)}\u00a0s`;
  const clock = (at) => {
    const time = new Date(at);
    const today = time.toDateString() === new Date().toDateString();
    return today ? time.toLocaleTimeString("en-GB") : time.toLocaleString("en-GB");
  };
  /** Controls and characters that turn the direction of text would let a name lie about itself. */
  const printable = (text) => String(text).replace(/[\p{Cc}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu,
    (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`);
  const webAddress = (text) => {
    try {
      const url = new URL(text);
      return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
    } catch { return null; }
  };

  // The document.
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  };
  const say = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  const set = (node, name, value) => { if (node.getAttribute(name) !== value) node.setAttribute(name, value); };
  const drawn = (tag, attributes, text) => {
    const node = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  /** Makes the children of `list` stand for `items`. A child that stays is the same node, so that focus stays in it. */
  const sync = (list, items, keyOf, create, update) => {
    const wanted = new Map(items.map((item) => [keyOf(item), item]));
    for (const child of [...list.children]) if (!wanted.has(child.dataset.key)) child.remove();
    const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
    let place = list.firstElementChild;
    for (const [key, item] of wanted) {
      let node = known.get(key);
      if (!node) { node = create(item); node.dataset.key = key; }
      if (node === place) place = place.nextElementSibling; else list.insertBefore(node, place);
      update(node, item);
    }
  };
  const part = (node, name) => node.querySelector(`[data-part=${name}]`);

  // What a screen reader hears: one thing after the other, and not every step.
  const queue = [];
  let speaking = false;
  const announce = (text) => {
    if (queue.at(-1) !== text) queue.push(text);
    if (speaking) return;
    speaking = true;
    const next = () => {
      const text = queue.shift();
      if (text === undefined) { speaking = false; return; }
      byId("said").textContent = text;
      setTimeout(next, 1500);
    };
    next();
  };

  // Mirrors.
  const phaseOf = (mirror) => {
    const phase = mirror.phase;
    switch (phase.name) {
      case "starting": return ["Starting", "waiting", "It has not begun yet."];
      case "scanning": return ["Scanning", "waiting", "It looks at every file of the folder."];
      case "mirroring": {
        const all = Math.max(phase.total_hint, phase.done);
        return ["Mirroring", "waiting", `${number(phase.done)} of ${plural(all, "file", "files")} done, ${bytes(phase.bytes)} sent`];
      }
      case "paused": return ["Paused", "bad", ""];
      case "waiting":
        if (phase.for === "api") return ["Waiting for the API", "warn", `Since ${clock(phase.since)}: ${printable(phase.cause)}`];
        return ["Waiting", "warn", `The allowance is spent; there is more at ${clock(phase.until)}.`];
      default:
        if (mirror.failed > 0) return ["Idle", "warn", `${plural(mirror.failed, "file is", "files are")} not mirrored: see Problems.`];
        if (mirror.pending > 0) return ["Idle", "good", `${plural(mirror.pending, "file waits", "files wait")} for their turn.`];
        return ["Up to date", "good", "Everything is mirrored; it waits for changes."];
    }
  };
  const watchingOf = (watching) => {
    if (watching.how === "native") return "Changes are told by the system.";
    if (watching.how === "polling") {
      return `The folder is looked at every ${number(Math.round(watching.every_ms / 1000))} s: ${printable(watching.reason)}`;
    }
    return "The watcher is starting.";
  };
  const passOf = (pass) => {
    if (!pass) return "No pass has ended yet.";
    const parts = ["created", "adopted", "aliased", "moved", "replaced", "retagged", "deleted", "failed"]
      .filter((name) => pass[name] > 0).map((name) => `${number(pass[name])} ${name}`);
    return `Last pass ${clock(pass.at)}: ${parts.join(", ") || "nothing to do"}; ${plural(pass.api_requests, "call", "calls")}, ${seconds(pass.duration_ms)}`;
  };
  const newMirror = () => make("li", {},
    make("div", { class: "head" }, make("h3", { "data-part": "name" }), make("p", { class: "pill", "data-part": "phase" })),
    make("p", { class: "path muted", "data-part": "root" }),
    make("p", { "data-part": "doing" }),
    make("progress", { "data-part": "progress", hidden: "" }),
    make("ul", { class: "notes", "data-part": "notes" }),
    make("ul", { class: "counts small", "data-part": "counts" }),
    make("p", { class: "muted small", "data-part": "watching" }),
    make("p", { class: "muted small", "data-part": "pass" }));
  const showMirror = (node, mirror) => {
    const [title, state, doing] = phaseOf(mirror);
    const before = node.dataset.phase;
    if (before !== undefined && before !== title) announce(`${printable(mirror.name)}: ${title}`);
    node.dataset.phase = title;
    say(part(node, "name"), printable(mirror.name));
    say(part(node, "phase"), title);
    set(part(node, "phase"), "data-state", state);
    say(part(node, "root"), printable(mirror.root));
    say(part(node, "doing"), doing);
    part(node, "doing").hidden = doing === "";
    const progress = part(node, "progress");
    progress.hidden = mirror.phase.name !== "mirroring";
    if (!progress.hidden) {
      set(progress, "aria-label", `Files of ${printable(mirror.name)} done`);
      progress.max = Math.max(mirror.phase.total_hint, mirror.phase.done, 1);
      progress.value = mirror.phase.done;
    }
    const notes = mirror.degraded.map((text) => ["warn", text]);
    if (mirror.phase.name === "paused") notes.unshift(["bad", mirror.phase.guard]);
    sync(part(node, "notes"), notes, ([kind, text]) => kind + text, ([kind]) => make("li", { class: `note ${kind}` }),
      (note, [, text]) => say(note, printable(text)));
    // Before the end of a pass nobody has counted.
    part(node, "counts").hidden = mirror.phase.name === "mirroring" || (mirror.present === 0 && !mirror.first_pass_done);
    const { files, mirrored, pending, failed, gone } = mirror.counts;
    const counts = [["files", files], ["mirrored", mirrored], ["waiting", pending], ["failed", failed], ["gone, assets not dealt with", gone]];
    sync(part(node, "counts"), counts.filter(([name, count]) => count > 0 || name === "mirrored"), ([name]) => name,
      ([name]) => make("li", { class: name === "failed" ? "bad" : "" }, make("b", { "data-part": "count" }), ` ${name}`),
      (count, [, value]) => say(part(count, "count"), number(value)));
    say(part(node, "watching"), watchingOf(mirror.watching));
    say(part(node, "pass"), passOf(mirror.last_pass));
  };

  // Problems, and trying again. A problem that is asked for is out of the index until it fails anew: after the next pass
  // it is either gone from the list, or it has failed again.
  const asked = new Map();
  const results = new Map();
  const keyOf = (mirror, problem) => JSON.stringify([mirror.name, problem.path, problem.action]);
  const passMark = (mirror) => mirror.last_pass ? mirror.last_pass.at : "";
  const post = async (body) => {
    const answer = await fetch("/retry", {
      method: "POST", body: JSON.stringify(body), cache: "no-store",
      headers: { "Content-Type": "application/json", "X-Dato-Mirror-Page": secret },
    });
    if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
    return answer.json();
  };
  const retry = async (rows, body, what) => {
    const fresh = rows.filter(({ key }) => !asked.has(key));
    if (fresh.length === 0) return;
    for (const { key, mirror } of fresh) { asked.set(key, { mark: passMark(mirror), since: Date.now() }); results.delete(key); }
    show();
    announce(`Trying ${what} again`);
    try {
      await post(body);
    } catch (error) {
      for (const { key } of fresh) { asked.delete(key); results.set(key, `Not tried: ${error.message}`); }
      announce(`Not tried: ${error.message}`);
    }
    show();
  };
  const newProblem = (row) => {
    const node = make("li", {},
      make("p", {}, make("bdi", { class: "path", "data-part": "path" })),
      make("p", { "data-part": "cause" }),
      make("p", { class: "muted small", "data-part": "advice" }),
      make("p", { class: "small result", "data-part": "result" }),
      make("button", { type: "button", "data-part": "retry" }));
    part(node, "retry").addEventListener("click", () => {
      const current = problems().find(({ key }) => key === row.key);
      if (!current) return;
      const { mirror, problem } = current;
      const body = problem.path === "" ? { mirror: mirror.name } : { mirror: mirror.name, path: problem.path };
      retry([current], body, printable(problem.path || mirror.name));
    });
    return node;
  };
  const showProblem = (node, { key, mirror, problem }) => {
    const several = view.mirrors.length > 1;
    const place = problem.path === "" ? `the whole of ${mirror.name}` : several ? `${mirror.name}: ${problem.path}` : problem.path;
    say(part(node, "path"), printable(place));
    say(part(node, "cause"), printable(problem.cause));
    say(part(node, "advice"), printable(problem.advice));
    say(part(node, "result"), asked.has(key) ? "" : results.get(key) ?? "");
    const button = part(node, "retry");
    say(button, asked.has(key) ? "Trying…" : "Retry");
    set(button, "aria-label", `${asked.has(key) ? "Trying" : "Retry"} ${printable(problem.path || mirror.name)}`);
    set(button, "aria-disabled", String(asked.has(key)));
  };
  const problems = () => view.mirrors.flatMap((mirror) =>
    mirror.problems.map((problem) => ({ key: keyOf(mirror, problem), mirror, problem })));
  const showProblems = () => {
    const rows = problems();
    const there = new Map(rows.map((row) => [row.key, row]));
    for (const [key, { mark, since }] of asked) {
      const [name, path] = JSON.parse(key);
      const mirror = view.mirrors.find((mirror) => mirror.name === name);
      if (mirror && passMark(mirror) === mark) {
        if (Date.now() - since < PATIENCE) continue;
        asked.delete(key);
        results.set(key, "It is due, and waits until its mirror can work.");
        continue;
      }
      asked.delete(key);
      if (there.has(key)) {
        results.set(key, `Tried again at ${clock(passMark(mirror))}: it still fails.`);
        announce(`${printable(path || name)} still fails`);
      } else {
        announce(`${printable(path || name)} is no problem any more`);
      }
    }
    for (const key of results.keys()) if (!there.has(key)) results.delete(key);
    const list = byId("problems");
    const focused = list.contains(document.activeElement) ? [...list.children].indexOf(document.activeElement.closest("li")) : -1;
    sync(list, rows, (row) => row.key, newProblem, showProblem);
    const all = byId("retry-all");
    const lostAll = document.activeElement === all && rows.length < 2;
    all.hidden = rows.length < 2;
    set(all, "aria-disabled", String(rows.every(({ key }) => asked.has(key))));
    if ((focused >= 0 && !list.contains(document.activeElement)) || lostAll) {
      // The row under the focus is mended: on to the next one, or to the heading.
      const next = list.children[Math.min(Math.max(focused, 0), list.children.length - 1)];
      (next ? part(next, "retry") : byId("problems-title")).focus();
    }
    const more = view.mirrors.reduce((sum, mirror) => sum + mirror.more_problems, 0);
    const note = rows.length === 0
      ? view.ready ? "None. Everything that should be mirrored is." : "None so far."
      : `${plural(rows.length + more, "thing", "things")} to look at${more > 0 ? `; the first ${number(rows.length)} are shown, dato-mirror status has all` : ""}. What can heal is tried again by itself.`;
    say(byId("problems-note"), note);
  };
  byId("retry-all").addEventListener("click", () => retry(problems(), {}, "everything"));

  // Changes.
  const ACTIONS = {
    create: "created", adopt: "adopted", alias: "shares an asset", move: "moved", replace: "replaced", retag: "metadata changed",
    delete: "deleted",
  };
  let allChanges = false;
  const newChange = ({ change }) => {
    const name = change.path.split("/").at(-1);
    const extension = name.includes(".") ? name.split(".").at(-1).toLowerCase() : "";
    const thumb = make("div", { class: "thumb", "aria-hidden": "true" }, make("span", {}, printable(extension).slice(0, 4)));
    const url = change.url && webAddress(change.url);
    if (url && ["png", "jpg", "jpeg", "gif", "webp", "avif", "svg"].includes(extension)) {
      const image = make("img", { alt: "", loading: "lazy", decoding: "async", width: "44", height: "44" });
      image.addEventListener("error", () => image.remove());
      image.addEventListener("load", () => thumb.firstChild.remove());
      const small = new URL(url);
      // The service makes small ones itself.
      if (small.hostname.endsWith("datocms-assets.com")) small.search = "?w=88&h=88&fit=max&auto=format";
      image.src = small.href;
      thumb.append(image);
    }
    const facts = make("p", { class: "facts muted small" }, make("span", { "data-part": "action" }), make("time", { "data-part": "at" }));
    const link = (href, text) => facts.append(make("a", { href, target: "_blank", rel: "noreferrer noopener", "aria-label": `${text} of ${printable(change.path)}` }, text));
    if (url) link(url, "URL");
    const cms = change.asset && view.api.cms_assets && webAddress(view.api.cms_assets + encodeURIComponent(change.asset));
    if (cms) link(cms, "In the CMS");
    return make("li", {}, thumb, make("p", { class: "path" }, make("bdi", { "data-part": "path" })), facts);
  };
  const showChange = (node, { mirror, change }) => {
    say(part(node, "path"), printable(view.mirrors.length > 1 ? `${mirror.name}: ${change.path}` : change.path));
    say(part(node, "action"), ACTIONS[change.action] ?? printable(change.action));
    say(part(node, "at"), clock(change.at));
    set(part(node, "at"), "datetime", change.at);
  };
  const showChanges = () => {
    const all = view.mirrors.flatMap((mirror) => mirror.changes.map((change) => ({ mirror, change })));
    all.sort((a, b) => (a.change.at < b.change.at ? 1 : a.change.at > b.change.at ? -1 : 0));
    const shown = all.slice(0, allChanges ? 100 : FIRST_CHANGES);
    sync(byId("changes"), shown, ({ mirror, change }) => JSON.stringify([mirror.name, change.path, change.action, change.at]), newChange, showChange);
    byId("changes-more").hidden = all.length <= shown.length || allChanges;
    say(byId("changes-note"), "Nothing has changed since it started.");
    byId("changes-note").hidden = all.length > 0;
  };
  byId("changes-more").addEventListener("click", () => {
    const next = byId("changes").children.length;
    allChanges = true;
    show();
    // The button is gone: on to the first of the new ones.
    byId("changes").children[next]?.querySelector("a")?.focus();
  });

  // The API.
  const showApi = () => {
    const api = view.api;
    const { calls_this_month: calls, budget, forecast } = api;
    say(byId("month-calls"), number(calls));
    say(byId("month-of"), budget ? `of ${number(budget)}` : "no budget is set");
    const whole = Math.max(budget ?? 0, forecast ?? 0, calls, 1);
    const width = (value) => String((300 * value) / whole);
    byId("month").replaceChildren(
      drawn("rect", { class: "forecast", width: width(forecast ?? calls), height: 12 }),
      drawn("rect", { class: budget && calls > budget ? "used bad" : "used", width: width(calls), height: 12 }),
      ...(budget && budget < whole ? [drawn("rect", { class: "limit", x: width(budget), width: 2, height: 12 })] : []));
    const expected = forecast === null ? "" : `About ${number(forecast)} at the month's end if it goes on like this`;
    const judged = expected && budget ? (forecast > budget ? ": more than the budget." : ": within the budget.") : expected ? "." : "";
    const slowed = api.slowed ? " What is left of the budget is being spread over the rest of the month." : "";
    say(byId("month-text"), expected + judged + slowed);
    const pace = [];
    if (api.down_since) pace.push(`The API cannot be reached since ${clock(api.down_since)}.`);
    pace.push(api.limit ? `At most ${number(api.allowance)} of the project's ${number(api.limit)} calls in 3 s.` : "The API has not told its limit yet.");
    if (api.others > 0) pace.push(`Others make about ${number(api.others)}.`);
    if (api.stopped_for_ms > 0) pace.push(`It makes everybody wait for ${seconds(api.stopped_for_ms)}.`);
    pace.push(`Since the start: ${plural(api.requests, "call", "calls")}, ${bytes(api.bytes_uploaded)} sent, ${plural(api.throttled, "answer", "answers")} "too many requests".`);
    say(byId("pace"), pace.join(" "));
  };
  const showSeries = (series) => {
    if (!series.until) return;
    const { calls, bytes: sent, step_ms } = series;
    // The axis grows with what there is to see: 5, 15, 30 minutes.
    const slots = [30, 90, 180].find((slots) => calls.length <= slots) ?? calls.length;
    const width = 360 / slots;
    const most = { calls: Math.max(...calls, 1), bytes: Math.max(...sent, 1) };
    const bars = [];
    const rows = [["calls", calls, 62, number], ["bytes", sent, 132, bytes]];
    for (const [name, values, ground, shown] of rows) {
      bars.push(drawn("line", { x1: 0, x2: 360, y1: ground + .5, y2: ground + .5 }));
      bars.push(drawn("text", { x: 0, y: ground - 50 }, values.some((value) => value > 0) ? `${shown(most[name])} in ${step_ms / 1000} s` : `no ${name}`));
      values.forEach((value, at) => {
        if (value === 0) return;
        const height = Math.max(1.5, (44 * value) / most[name]);
        bars.push(drawn("rect", { class: name, x: width * (slots - values.length + at), y: ground - height, width: width * .85, height }));
      });
    }
    bars.push(drawn("text", { x: 0, y: 147 }, `${(slots * step_ms) / 60000} min ago`), drawn("text", { x: 360, y: 147, "text-anchor": "end" }, "now"));
    byId("plot").replaceChildren(...bars);
    const sum = (values) => values.reduce((a, b) => a + b, 0);
    const minutes = (calls.length * step_ms) / 60000;
    const span = minutes < 1 ? `${(calls.length * step_ms) / 1000} s` : minutes < 2 ? "minute" : `${Math.round(minutes)} min`;
    say(byId("plot-text"), `In the last ${span}: ${plural(sum(calls), "call", "calls")}, at most ${number(most.calls)} in ${step_ms / 1000} s; ${bytes(sum(sent))} sent.`);
    // By five minutes: thirty rows of zeros tell nobody anything.
    const lines = [];
    const steps = 300000 / step_ms;
    for (let end = calls.length; end > 0; end -= steps) {
      const from = Math.max(0, end - steps);
      const until = new Date(Date.parse(series.until) - (calls.length - end) * step_ms);
      lines.push([until.toLocaleTimeString("en-GB"), number(sum(calls.slice(from, end))), bytes(sum(sent.slice(from, end)))]);
    }
    byId("plot-table").replaceChildren(...lines.map((line) => make("tr", {}, ...line.map((text) => make("td", {}, text)))));
  };

  // All of it.
  let view = null;
  const show = () => {
    if (!view) return;
    sync(byId("mirrors"), view.mirrors, (mirror) => mirror.name, newMirror, showMirror);
    showProblems();
    showChanges();
    showApi();
    const failed = view.mirrors.reduce((sum, mirror) => sum + mirror.failed, 0);
    const mirrored = view.mirrors.reduce((sum, mirror) => sum + mirror.mirrored, 0);
    const busy = view.mirrors.find((mirror) => mirror.phase.name !== "idle");
    const words = view.health.state === "stuck" ? "It does not move any more: restart it."
      : busy ? `${phaseOf(busy)[0]}…` : `${plural(mirrored, "file", "files")} mirrored`;
    say(byId("summary"), failed > 0 ? `${words} · ${number(failed)} failed` : words);
    say(byId("about"), `dato-mirror ${view.version}, running since ${clock(view.since)}.`);
    const title = failed > 0 ? `(${failed}) dato-mirror` : "dato-mirror";
    if (document.title !== title) document.title = title;
  };

  // News.
  let source = null;
  let lastWord = 0;
  let lastView = 0;
  let lost = false;
  const linkIs = (state, text) => { set(byId("link"), "data-state", state); say(byId("link"), text); };
  const isLost = () => {
    linkIs("bad", "Connection lost – trying again");
    if (!lost) {
      announce("Connection lost. What is shown may be old.");
      if (view) say(byId("summary"), `What is shown is from ${clock(lastView)}.`);
    }
    lost = true;
  };
  const heard = () => {
    lastView = lastWord = Date.now();
    linkIs("good", "Live");
    if (lost) announce("Connected again");
    lost = false;
  };
  const listen = () => {
    source?.close();
    lastWord = Date.now();
    const current = source = new EventSource("/events");
    current.addEventListener("view", (event) => {
      const next = JSON.parse(event.data);
      // Another process has another secret, and perhaps another page.
      if (view && view.since !== next.since) { location.reload(); return; }
      view = next;
      heard();
      show();
    });
    current.addEventListener("series", (event) => showSeries(JSON.parse(event.data)));
    current.addEventListener("error", () => {
      isLost();
      // A refusal ends an EventSource for good.
      if (current.readyState === EventSource.CLOSED) setTimeout(() => { if (source === current) listen(); }, 3000);
    });
  };
  setInterval(() => {
    if (source && Date.now() - lastWord > SILENCE) { isLost(); listen(); }
  }, 5000);
  document.addEventListener("visibilitychange", () => {
    // A page that nobody sees needs no news.
    if (document.hidden) { source?.close(); source = null; } else if (!source) { listen(); }
  });
  addEventListener("pagehide", () => source?.close());
  listen();
})();
