"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const views = {};
  const isTradeOff = (name) => /^(front|tuning)(-|$)/.test(name);

  // ------------------------------------------------------------------ theme: charts follow, their colours are variables
  const root = document.documentElement;
  document.getElementById("theme").addEventListener("click", () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
  });
  for (const swatch of document.querySelectorAll("[data-color]")) swatch.style.background = `var(--${swatch.dataset.color})`;

  // ------------------------------------------------------------------ the picture of an architecture
  const maker = (namespace) => (name, attributes = {}, children = []) => {
    const made = document.createElementNS(namespace, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };
  const html = maker("http://www.w3.org/1999/xhtml");
  const svg = maker("http://www.w3.org/2000/svg");

  // What was chosen for each block of a stage: its kernels (0 for none) and its expand ratio.
  const blocksOf = (stage) => {
    const choices = Object.entries(stage).filter(([, values]) => Array.isArray(values));
    return choices[0][1].map((_, rank) => ({
      kernels: choices.filter(([name]) => name.endsWith("kernel_size")).map(([, values]) => values[rank]),
      ratio: stage.expand_ratio ? stage.expand_ratio[rank] : 1,
    }));
  };
  const labelOf = (kernels) => kernels.map((kernel) => kernel || "–").join("+");

  // A block is a bar: as high as its expand ratio, as wide as its largest kernel; stages stand apart.
  function pictureOf({ arch, channels }) {
    const heightOf = (ratio) => 14 + 58 * (ratio / data.largestRatio);
    const widthOf = (kernel) => 10 + 3.2 * kernel;
    const base = 88;
    const parts = [];
    let x = 0;
    arch.stages.forEach((stage, index) => {
      const start = x;
      blocksOf(stage).forEach(({ kernels, ratio }) => {
        const kernel = Math.max(0, ...kernels);
        const width = widthOf(kernel);
        const height = heightOf(ratio);
        parts.push(svg("rect", { x, y: base - height, width, height, rx: 3, fill: `var(--kernel-${data.kernels.indexOf(kernel)})` }, [
          svg("title", {}, [`kernel ${labelOf(kernels)}, expand ratio ${ratio}`]),
        ]));
        parts.push(svg("text", { x: x + width / 2, y: base - 5, "text-anchor": "middle", "font-size": 10, fill: "var(--surface)", "font-weight": 600 }, [labelOf(kernels)]));
        parts.push(svg("text", { x: x + width / 2, y: base - height - 4, "text-anchor": "middle", "font-size": 10, fill: "var(--muted)" }, [`×${String(ratio).replace(/^0/, "")}`]));
        x += width + 3;
      });
      parts.push(svg("rect", { x: start, y: base + 5, width: x - start - 3, height: 2, fill: "var(--line)" }));
      parts.push(svg("text", { x: (start + x - 3) / 2, y: base + 20, "text-anchor": "middle", "font-size": 10.5, fill: "var(--muted)" }, [`${channels[index]} ch`]));
      x += 12;
    });
    const described = arch.stages.map((stage, index) => `stage ${index + 1}: ` + blocksOf(stage).map(({ kernels, ratio }) => `kernel ${labelOf(kernels)} expand ${ratio}`).join(", ")).join("; ");
    return svg("svg", { viewBox: `0 0 ${Math.max(x - 12, 240)} ${base + 26}`, role: "img", "aria-label": described }, parts);
  }

  // ------------------------------------------------------------------ the chosen network
  const panel = document.getElementById("network");
  function choose(archId) {
    const network = data.networks[archId];
    if (!network || !panel) return;
    const facts = html("dl", {}, network.facts.flatMap(([name, value]) => [html("dt", {}, [name]), html("dd", {}, [value])]));
    const command = network.export;
    const code = html("code", {}, wordsOf(command));
    const copy = html("button", { type: "button" }, ["Copy"]);
    copy.addEventListener("click", () => copyText(command, code, copy));
    panel.replaceChildren(
      html("h3", {}, [network.title]), facts, pictureOf(network),
      html("p", { class: "note" }, ["Each bar is a block: its height the expand ratio, its width and colour the kernel. Write this network out with"]),
      html("div", { class: "command" }, [code, copy]),
    );
    for (const row of document.querySelectorAll("tr[data-network]")) row.classList.toggle("chosen", row.dataset.network === archId);
    for (const button of document.querySelectorAll("button.pick")) button.setAttribute("aria-pressed", String(button.dataset.network === archId));
    for (const [name, view] of Object.entries(views)) if (isTradeOff(name)) view.signal("chosen", archId).run();
  }

  // A command breaks between its words, not at the dashes of an option.
  function wordsOf(text) {
    return text.split(" ").flatMap((word, index) => [
      ...(index ? [" "] : []), word.length < 30 ? html("span", { class: "word" }, [word]) : word,
    ]);
  }

  async function copyText(text, code, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }
  for (const button of document.querySelectorAll("button.pick")) button.addEventListener("click", () => choose(button.dataset.network));

  // ------------------------------------------------------------------ brushing the trade-off filters the networks
  function filterRows(range) {
    const isInside = (value, limits) => !limits || (value >= Math.min(...limits) && value <= Math.max(...limits));
    for (const row of document.querySelectorAll("tr[data-place]")) {
      const isKept = Object.entries(JSON.parse(row.dataset.place)).every(([name, value]) => isInside(value, range[name]));
      row.classList.toggle("out", !isKept);
    }
  }

  // ------------------------------------------------------------------ charts
  async function draw(name, specification) {
    const place = document.getElementById(`chart-${name}`);
    const { view } = await vegaEmbed(place, specification, { actions: false, renderer: "svg", config: data.config });
    views[name] = view;
    if (!isTradeOff(name)) return;
    view.addEventListener("click", (_, item) => { if (item && item.datum && item.datum.network) choose(item.datum.network); });
    if (name.startsWith("front")) view.addSignalListener("brush", (_, range) => filterRows(range));
    choose(data.firstNetwork);
  }
  Promise.all(Object.entries(data.charts).map(([name, specification]) => draw(name, specification)))
    .then(() => { root.dataset.drawn = "yes"; });
})();
