// The live page: draws the stored records of GMLM_ATLAS (assets/atlas-data.js) with plotly. No network, no computation.
"use strict";

(function () {
  const data = window.GMLM_ATLAS;
  const laws = data.decoders.laws;
  const FIRST = ["optimal", "strided", "random-order", "confidence", "llada", "entropy-bound"];
  const COLOURS = ["#3b6fb6", "#d55e00", "#009e73", "#b8860b", "#cc79a7", "#56b4e9", "#7f7f7f", "#e05252"];
  const SYMBOLS = ["circle", "square", "diamond", "cross", "x", "star", "pentagon", "hexagram"];
  const NAMES = { kl: "KL(p‖q)", reverse_kl: "KL(q‖p)", total_variation: "total variation" };
  const byId = (id) => document.getElementById(id);
  const chosen = new Set(FIRST);

  const number = (value) => (typeof value === "string" ? (value === "inf" ? Infinity : NaN) : value);
  const shown = (value) => (value === Infinity ? "∞" : Number(value.toPrecision(4)).toString());

  function described(found) {
    if (!found) return "none";
    const [value, kind, low, high] = found;
    const spread = low === high ? "" : `, ${shown(number(low))} to ${shown(number(high))}`;
    return `${shown(number(value))} (${kind}${spread})`;
  }

  function themed() {
    const style = getComputedStyle(document.body);
    return { ink: style.getPropertyValue("--md-default-fg-color").trim() || style.color,
             grid: style.getPropertyValue("--md-default-fg-color--lightest").trim() || "#ddd" };
  }

  function layout(extra) {
    const { ink, grid } = themed();
    const small = window.innerWidth < 600;
    return Object.assign({
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: small ? 11 : 13 },
      margin: { l: small ? 50 : 64, r: 12, t: 36, b: 48 }, hovermode: "closest",
      legend: { orientation: "h", y: -0.22 }, gridcolor: grid,
    }, extra);
  }

  const law = () => laws[Number(byId("atlas-law").value)];
  const rows = () => law().rows.filter(
    (row) => chosen.has(row.decoder) && row.calls <= Number(byId("atlas-most").value));

  function draw() {
    const measure = byId("atlas-measure").value, calls = byId("atlas-calls").value, kept = rows();
    const values = kept.map((row) => row[measure] && number(row[measure][0])).filter((v) => v > 1e-9 && v < Infinity);
    const floor = values.length ? Math.max(Math.min(...values) / 2, 1e-6) : 1e-3;
    const ceiling = values.length ? Math.max(...values) * 2 : 1;
    const within = (value) => (value === Infinity ? ceiling : Math.max(value, floor));
    const all = [...new Set(law().rows.map((row) => row.decoder))];
    const traces = [...chosen].filter((name) => all.includes(name)).map((name, index) => {
      const own = kept.filter((row) => row.decoder === name && row[measure]);
      const y = own.map((row) => number(row[measure][0]));
      const end = (row, side) => Math.abs(within(number(row[measure][side])) - within(number(row[measure][0])));
      return {
        name, type: "scatter", mode: "lines+markers", cliponaxis: false, x: own.map((row) => row[calls]), y: y.map(within),
        error_y: { type: "data", symmetric: false, array: own.map((row) => end(row, 3)),
                   arrayminus: own.map((row) => end(row, 2)), thickness: 1 },
        line: { color: COLOURS[index % COLOURS.length], width: 1.5, dash: ["solid", "dash", "dot"][Math.floor(index / COLOURS.length) % 3] },
        marker: { size: 8, color: COLOURS[index % COLOURS.length], symbol: y.map((value) =>
          value === Infinity ? "triangle-up" : value < floor ? "triangle-down" : SYMBOLS[index % SYMBOLS.length]) },
        text: own.map((row) => `<b>${name}</b>, ${row.calls} calls asked for, ${row.expected} expected<br>` +
          Object.keys(NAMES).map((key) => `${NAMES[key]}: ${described(row[key])}`).join("<br>")),
        hovertemplate: "%{text}<extra></extra>",
      };
    }).filter((trace) => trace.x.length);
    const axis = { gridcolor: themed().grid, zeroline: false };
    Plotly.react("atlas-decoder-plot", traces, layout({
      title: { text: `${law().name}: ${NAMES[measure]} against network calls`, font: { size: 14 } },
      xaxis: { ...axis, title: { text: calls === "calls" ? "calls asked for" : "expected calls" }, type: "log", dtick: Math.log10(2), tickformat: ".3~g" },
      yaxis: { ...axis, title: { text: measure === "total_variation" ? "total variation" : "nats for the sequence" }, type: "log", dtick: 1, exponentformat: "power", range: [Math.log10(floor) - 0.05, Math.log10(ceiling) + 0.05] },
    }), { responsive: true, displayModeBar: false });
    const missing = [...new Set(kept.filter((row) => !row[measure]).map((row) => row.decoder))];
    byId("atlas-note").textContent = missing.length ? `No ${NAMES[measure]} for: ${missing.join(", ")}.` : "";
    byId("atlas-command").innerHTML = `<pre><code>${law().command}</code></pre>`;
    byId("atlas-numbers").innerHTML = "<table><thead><tr><th>decoder</th><th>calls</th><th>expected</th>" +
      Object.values(NAMES).map((name) => `<th>${name}</th>`).join("") + "</tr></thead><tbody>" +
      kept.map((row) => `<tr><td>${row.decoder}</td><td>${row.calls}</td><td>${row.expected}</td>` +
        Object.keys(NAMES).map((key) => `<td>${row[key] ? described(row[key]) : row.reason || "none"}</td>`).join("") + "</tr>").join("") + "</tbody></table>";
  }

  function offer() {
    const counts = [...new Set(law().rows.map((row) => row.calls))].sort((a, b) => a - b);
    byId("atlas-most").innerHTML = counts.map((count) => `<option value="${count}">${count} calls</option>`).join("");
    byId("atlas-most").value = counts[counts.length - 1];
    const names = [...new Set(law().rows.map((row) => row.decoder))];
    byId("atlas-decoders").innerHTML = names.map((name) =>
      `<label><input type="checkbox" value="${name}"${chosen.has(name) ? " checked" : ""}> ${name}</label>`).join("");
    draw();
  }

  function drawBounds() {
    const bounds = ((data.bounds || {}).bounds || []).slice().sort((a, b) => a.ratio - b.ratio);
    const plot = byId("atlas-bound-plot");
    if (!bounds.length) { plot.textContent = "No record of bounds is stored."; plot.style.height = "auto"; return; }
    plot.style.height = `${90 + 24 * bounds.length}px`;
    Plotly.react(plot, [{
      type: "scatter", mode: "markers", x: bounds.map((row) => row.ratio), y: bounds.map((row) => row.bound),
      marker: { size: 10, color: COLOURS[0], symbol: bounds.map((row) => ({ "not attained": "circle-open", attained: "diamond" }[row.verdict] || "x")) },
      text: bounds.map((row) => `<b>${row.bound}</b> (${row.claim})<br>${row.statement}<br>ratio ${shown(row.ratio)}: ${row.verdict}<br>` +
        Object.entries(row.instance || {}).map(([key, value]) => `${key} ${JSON.stringify(value).slice(0, 60)}`).join("<br>")),
      hovertemplate: "%{text}<extra></extra>",
    }], layout({
      title: { text: "Largest known ratio: 1 is attained", font: { size: 14 } },
      margin: { l: window.innerWidth < 600 ? 150 : 220, r: 12, t: 36, b: 48 },
      xaxis: { title: { text: "exact value / bound" }, type: "log", gridcolor: themed().grid },
      yaxis: { automargin: true, tickfont: { size: window.innerWidth < 600 ? 9 : 12 } },
      shapes: [{ type: "line", x0: 1, x1: 1, y0: 0, y1: 1, yref: "paper", line: { dash: "dash", color: themed().ink, width: 1 } }],
    }), { responsive: true, displayModeBar: false });
  }

  byId("atlas-law").innerHTML = laws.map((entry, index) => `<option value="${index}">${entry.name}</option>`).join("");
  byId("atlas-law").addEventListener("change", offer);
  for (const id of ["atlas-measure", "atlas-calls", "atlas-most"]) byId(id).addEventListener("change", draw);
  byId("atlas-decoders").addEventListener("change", (event) => {
    if (event.target.checked) chosen.add(event.target.value); else chosen.delete(event.target.value);
    draw();
  });
  // The colours are those of the page's scheme, which a reader can change.
  new MutationObserver(() => { draw(); drawBounds(); }).observe(document.body, { attributes: true, attributeFilter: ["data-md-color-scheme"] });
  offer();
  drawBounds();
})();
