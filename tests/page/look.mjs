// Looks at the status page with a real browser: node look.mjs SITUATION URL FOLDER. A check that fails ends it with 1.
// CHROMIUM names the browser. Pictures go to FOLDER.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";

const [situation, url, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

// In a container that runs as root there is no sandbox to be had; the only pages here are our own.
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
const complaints = [];
const elsewhere = [];
const open = async (options) => {
  const context = await browser.newContext({ viewport: DESK, colorScheme: "light", ...options });
  // Nothing leaves this machine: what the service would serve is made here.
  await context.route(/^https:/, (route) => {
    elsewhere.push(route.request().url());
    const body = '<svg xmlns="http://www.w3.org/2000/svg" width="88" height="60"><rect width="88" height="60" fill="#d0a070"/></svg>';
    return route.fulfill({ contentType: "image/svg+xml", body });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  // What the policy refuses, and what the script throws, is told here.
  page.on("console", (line) => { if (["error", "warning"].includes(line.type())) complaints.push(line.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url, { waitUntil: "domcontentloaded" });
  await page.locator("#link[data-state=good]").waitFor();
  return page;
};
const picture = (page, name, fullPage = true) => page.screenshot({ path: path.join(folder, `${situation}-${name}.png`), fullPage });
const noSidewaysScroll = async (page) => {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(content <= window, `${content} px wide in a window of ${window}`);
};

/** Nothing that the checker objects to, in light and dark, on a desk and on a phone. Its script may run here only. */
const accessible = async () => {
  for (const [size, viewport] of Object.entries({ desk: DESK, phone: PHONE })) {
    for (const colorScheme of ["light", "dark"]) {
      const page = await open({ viewport, colorScheme, bypassCSP: true });
      await page.waitForTimeout(600);
      if (size === "phone") await noSidewaysScroll(page);
      await picture(page, `${size}-${colorScheme}`);
      await page.locator("summary").click();
      await page.evaluate(axe);
      const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
      const found = await page.evaluate((values) => window.axe.run(document, { runOnly: { type: "tag", values } }), tags);
      const said = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" ")}`);
      assert.deepEqual(said, [], `${size} ${colorScheme}`);
      const unsure = found.incomplete.map(({ id, nodes }) => `${id} (${nodes.length})`);
      console.log(`axe ${size} ${colorScheme}: ${found.passes.length} rules passed, 0 violations; unsure: ${unsure.join(", ") || "nothing"}`);
      await page.context().close();
    }
  }
};

const situations = {
  /** While a first sync runs. */
  async sync() {
    const page = await open();
    const progress = page.locator("#mirrors progress");
    await progress.waitFor();
    await page.waitForFunction(() => document.querySelector("#mirrors progress").value > 2);
    const before = await progress.evaluate((node) => node.value);
    // Live, without loading anything again.
    await page.evaluate(() => { window.same = true; });
    await page.waitForFunction((before) => document.querySelector("#mirrors progress").value > before, before);
    assert.ok(await page.evaluate(() => window.same));
    assert.equal(await page.locator("#mirrors [data-part=phase]").first().textContent(), "Mirroring");
    // Thumbnails are seen, not only asked for.
    await page.waitForFunction(() => [...document.querySelectorAll("#changes img")].some((image) => image.naturalWidth > 0));
    // Focus stays on a link although rows come above it.
    // In one go: rows come all the time.
    const [href, rows] = await page.evaluate(() => {
      const link = document.querySelector("#changes a");
      link.focus();
      return [link.getAttribute("href"), document.querySelector("#changes li").dataset.key];
    });
    await page.waitForFunction((first) => document.querySelector("#changes li").dataset.key !== first, rows);
    assert.equal(await page.evaluate(() => document.activeElement.getAttribute("href")), href);
    await accessible();
    // The plot has its first figures.
    await page.locator("#plot rect.calls").first().waitFor();
    await page.locator("#plot rect.bytes").first().waitFor();
    assert.match(await page.locator("#plot-text").textContent(), /calls, at most/);
    await picture(page, "plot");
  },

  /** After two files failed, one of them with a name that is markup. */
  async failure() {
    const page = await open();
    await page.locator("#problems li").nth(1).waitFor();
    const text = await page.locator("#problems").innerText();
    assert.ok(text.includes("<img src=x onerror="), text);
    assert.equal(await page.locator("#problems img").count(), 0);
    assert.ok(text.includes("\\u{202e}"), "a sign that turns the direction of text is shown as what it is");
    assert.equal(await page.title(), "(2) dato-mirror");
    await accessible();
    // Asked again and failing again, it says so, and the button is there for another try.
    await page.locator("#problems [data-part=retry]").first().click();
    await page.locator("#problems .result").filter({ hasText: "it still fails" }).first().waitFor();
    assert.equal(await page.locator("#problems [data-part=retry]").first().getAttribute("aria-disabled"), "false");
    await picture(page, "still");
  },

  /** The cause is mended; everything from here is done with the keyboard. */
  async retry() {
    const page = await open();
    await page.locator("#problems li").nth(1).waitFor();
    await page.evaluate(() => {
      window.heard = [];
      const said = document.getElementById("said");
      new MutationObserver(() => window.heard.push(said.textContent)).observe(said, { childList: true, characterData: true, subtree: true });
    });
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    const focused = () => page.evaluate(() => document.activeElement.dataset.part ?? document.activeElement.id);
    for (let presses = 0; (await focused()) !== "retry"; presses += 1) {
      assert.ok(presses < 20, "no button is reached by Tab");
      await page.keyboard.press("Tab");
    }
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(ring, "solid", "focus is seen");
    await picture(page, "focus");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.querySelectorAll("#problems li").length === 1);
    // The row is gone and focus is on the next one's button.
    assert.equal(await focused(), "retry");
    await page.keyboard.press("Space");
    await page.waitForFunction(() => document.querySelectorAll("#problems li").length === 0);
    assert.equal(await focused(), "problems-title");
    await page.waitForFunction(() => document.querySelector("#problems-note").textContent.startsWith("None. Everything"));
    await page.waitForFunction(() => window.heard.some((text) => text.includes("is no problem any more")));
    console.log(`heard: ${(await page.evaluate(() => window.heard)).join(" | ")}`);
    await picture(page, "done");
    await accessible();
  },

  /** Several mirrors, each in another trouble, and assets of a real project. */
  async many() {
    const page = await open();
    const titles = await page.locator("#mirrors [data-part=phase]").allTextContents();
    assert.deepEqual(titles, ["Waiting for the API", "Paused", "Idle"]);
    const cards = await page.locator("#mirrors").innerText();
    for (const text of ["every 30 s: the folder is on nfs", "fs.inotify.max_user_watches", "the root is missing"]) {
      assert.ok(cards.includes(text), `${text} is not in ${cards}`);
    }
    await page.waitForFunction(() => document.querySelector("#changes img")?.naturalWidth > 0);
    assert.deepEqual([...new Set(elsewhere)], ["https://www.datocms-assets.com/1/team.jpg?w=88&h=88&fit=max&auto=format"]);
    const links = await page.locator("#changes a").evaluateAll((all) => all.map((link) => link.href));
    assert.deepEqual(links, [
      "https://www.datocms-assets.com/1/team.jpg", "https://p.admin.datocms.com/media/assets/abc", "https://p.admin.datocms.com/media/assets/%2F..%2Fx",
    ], "only web addresses become links");
    await accessible();
  },

  /** The daemon ends while the page is open, and comes back as another process. */
  async lost() {
    const page = await open();
    const secret = () => page.evaluate(() => document.querySelector("meta[name=dato-mirror-page]").content);
    const before = await secret();
    console.log("open");
    await page.locator("#link[data-state=bad]").waitFor();
    assert.match(await page.locator("#link").textContent(), /Connection lost/);
    assert.match(await page.locator("#summary").textContent(), /What is shown is from \d/);
    await picture(page, "gone", false);
    console.log("lost");
    await page.locator("#link[data-state=good]").waitFor();
    await page.waitForFunction((before) => document.querySelector("meta[name=dato-mirror-page]")?.content !== before, before);
    // The browser tells of every refused connection; that is what this is about.
    complaints.length = 0;
  },
};

try {
  await situations[situation]();
  assert.deepEqual(complaints, [], "the browser complains");
  console.log(`${situation}: fine`);
} catch (error) {
  console.error(error);
  console.error("the browser said:", complaints);
  process.exitCode = 1;
} finally {
  await browser.close();
}
