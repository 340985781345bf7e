/* The shown rows as CSV, Markdown and LaTeX: filtered, in their order, and with no text taken for a formula or for markup. */

/** Beginnings that a spreadsheet or a shell would compute, the wide forms of East Asian writing included. */
const FORMULA = /^\s*[=+\-@\t\r\n|%\uff1d\uff0b\uff0d\uff20]/;
const MARKUP = /[\\|`*~$]|\](?=[([:])|\[(?=\^)|!(?=\[)/g;
/** Inside mentions, numbers of issues and addresses, which hosts of Markdown turn into links by themselves. */
const REFERENCE = /(?<=[@#])(?=[\p{L}\p{N}_])|(?<=:)(?=\/\/)|(?<=www)(?=\.)/giu;
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
const LATEX = {
  "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
  "|": "\\textbar{}", "`": "\\textasciigrave{}", '"': "\\char34{}", "$": "\\$", "&": "\\&", "#": "\\#", "%": "\\%", "_": "\\_",
  "{": "\\{", "}": "\\}", "[": "{[}", "*": "{*}", "-": "-{}", "–": "\\textendash{}", "·": "\\textperiodcentered{}", "†": "\\textdagger{}",
};

/** The columns that are shown: title, field and kind. */
function shownColumns() {
  return headers.filter((header) => header.checkVisibility())
    .map(({ dataset: { field, kind }, firstElementChild }) => ({ field, kind, title: firstElementChild.textContent }));
}

/** A cell of a CSV file; a text that would be computed has an apostrophe before it. */
function csvCell(value) {
  if (value === null) return "";
  if (typeof value === "boolean") return value ? "True" : "False";
  const text = Array.isArray(value) ? value.join(" ") : String(value);
  const safe = typeof value === "string" && text !== "-" && FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** All fields of the shown rows, as `bench leaderboard --format csv` has them. */
function asCsv() {
  const lines = shown.map((index) => fields.map((field) => csvCell(rows[index][field])));
  return [fields, ...lines].map((line) => `${line.join(",")}\n`).join("");
}

/** A text that Markdown shows as it is. */
function markdownText(text) {
  return text.split(/\s+/).filter((word) => word).join(" ").replace(REFERENCE, "\0").replace(/[&<>]/g, (sign) => ENTITIES[sign])
    .replace(MARKUP, (sign) => `&#${sign.charCodeAt(0)};`).replaceAll("\0", "<!-- -->");
}

/** What the shown rows are of, and how to read them. */
function noteLines() {
  const found = shown.map((index) => rows[index]);
  const tasks = [...new Set(found.map((row) => `${row.task} on ${row.backbone}`))];
  const units = [...new Set(found.filter(({ value }) => value !== null).map(unitOf))];
  return [
    ...(tasks.length === 1 ? tasks : []),
    `score: ${units.join(" or ") || "none yet"}, [95% interval]. Costs are those of one episode alone.`,
    ...(found.some((row) => row.company || row.break_even_company) ? [`${SIGN}: measured while something else used the machine.`] : []),
  ];
}

function asMarkdown() {
  const used = shownColumns();
  const line = (cells) => `| ${cells.map(markdownText).join(" | ")} |\n`;
  const rule = `|${used.map(({ kind }) => (kind === "text" ? ":---" : "---:")).join("|")}|\n`;
  const lines = shown.map((index) => line(used.map((column) => textOf(column, rows[index]))));
  return `${line(used.map(({ title }) => title))}${rule}${lines.join("")}\n${noteLines().map((text) => `${markdownText(text)}\n`).join("\n")}`;
}

/** A text that LaTeX prints as it is: no command, no option of a line break before it, no dash of two hyphens. */
function latexText(text) {
  return text.replace(/-(?=-)|[\\~^<>|`"$&#%_{}[*–·†]/g, (sign) => LATEX[sign]);
}

/** A table of the package booktabs, with a comment on how to read it. */
function asLatex() {
  const used = shownColumns();
  const line = (cells) => `${cells.map(latexText).join(" & ")} \\\\\n`;
  const shape = used.map(({ kind }) => (kind === "text" ? "l" : "r")).join("");
  const lines = shown.map((index) => line(used.map((column) => textOf(column, rows[index]))));
  return [
    ...noteLines().map((text) => `% ${text}\n`), `\\begin{tabular}{${shape}}\n\\toprule\n`, line(used.map(({ title }) => title)),
    "\\midrule\n", ...lines, "\\bottomrule\n\\end{tabular}\n",
  ].join("");
}

const EXPORTS = {
  csv: { write: asCsv, type: "text/csv" },
  markdown: { write: asMarkdown, type: "text/markdown", ending: "md" },
  latex: { write: asLatex, type: "application/x-tex", ending: "tex" },
};

const exportText = (format) => EXPORTS[format].write();

/** Copies a text; returns what became visible of it. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied";
  } catch {
    return "This browser does not let the page copy";
  }
}

/** Saves the shown rows as a file. */
function download(format) {
  const { write, type, ending = format } = EXPORTS[format];
  const link = element("a", { href: URL.createObjectURL(new Blob([write()], { type })), download: `leaderboard.${ending}` });
  link.click();
  URL.revokeObjectURL(link.href);
}
