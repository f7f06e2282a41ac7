// SPDX-License-Identifier: LGPL-2.1-or-later
// The server's DOT as SVG: sources on the left, viewers on the right.

const NS = 'http://www.w3.org/2000/svg';
const WIDTH = 180, GAP_X = 50, GAP_Y = 16, LINE = 16, PADDING = 8;

/** The nodes and edges of the DOT that the server writes (src/app/graph.c). */
export function parse(dot) {
  const nodes = new Map(), edges = [];
  for (const line of dot.split('\n')) {
    const edge = /^ {2}(\w+) -> (\w+);/.exec(line);
    const node = /^ {2}(\w+) \[shape=(\w+), label="(.*)"\];/.exec(line);
    if (edge)
      edges.push(edge.slice(1, 3));
    else if (node)
      nodes.set(node[1], {shape: node[2], lines: node[3].split('\\n').map(text => text.replaceAll(/\\(.)/g, '$1')), layer: 0});
  }
  // as far to the right as what it comes from demands; there are no circles
  for (let i = 0; i < nodes.size; i++)
    for (const [from, to] of edges)
      if (nodes.has(from) && nodes.has(to))
        nodes.get(to).layer = Math.max(nodes.get(to).layer, nodes.get(from).layer + 1);
  return {nodes, edges};
}

function element(name, attributes, text) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes))
    made.setAttribute(key, value);
  if (text !== undefined)
    made.textContent = text;
  return made;
}

function place({nodes}) {
  const heights = [];
  for (const node of nodes.values()) {
    node.height = node.lines.length * LINE + 2 * PADDING;
    node.x = node.layer * (WIDTH + GAP_X);
    node.y = heights[node.layer] ?? 0;
    heights[node.layer] = node.y + node.height + GAP_Y;
  }
  return {width: heights.length * (WIDTH + GAP_X) - GAP_X, height: Math.max(0, ...heights) - GAP_Y};
}

const units = node => Number(/^(\d+) units/.exec(node.lines[1] ?? '')?.[1]);

/** What was counted the last time, to tell how many a second. @type {Map<string, number>} */
let counted = new Map();

/**
 * @param {HTMLElement} parent
 * @param {string} dot
 * @param {number} seconds since the last drawing
 */
export function draw(parent, dot, seconds) {
  const graph = parse(dot);
  const now = new Map();
  for (const [id, node] of graph.nodes) {
    const n = units(node);
    if (Number.isNaN(n))
      continue;
    now.set(id, n);
    if (counted.has(id) && n >= counted.get(id))
      node.lines.push(`${((n - counted.get(id)) / seconds).toFixed(0)} per second`);
  }
  counted = now;
  const {width, height} = place(graph);
  const svg = element('svg', {viewBox: `-2 -2 ${width + 4} ${height + 4}`, width: width + 4, height: height + 4, role: 'img'});
  svg.append(element('title', {}, [...graph.nodes.values()].map(({lines}) => lines[0]).join(', ')));
  for (const [from, to] of graph.edges) {
    const a = graph.nodes.get(from), b = graph.nodes.get(to);
    if (!a || !b)
      continue;
    const [x1, y1, x2, y2] = [a.x + WIDTH, a.y + a.height / 2, b.x, b.y + b.height / 2];
    const half = (x2 - x1) / 2;
    svg.append(element('path', {class: 'edge', d: `M${x1},${y1} C${x1 + half},${y1} ${x2 - half},${y2} ${x2},${y2}`}));
  }
  for (const {shape, lines, x, y, height: tall} of graph.nodes.values()) {
    const group = element('g', {class: shape, transform: `translate(${x} ${y})`});
    group.append(element('rect', {width: WIDTH, height: tall, rx: shape === 'ellipse' ? tall / 2 : 6}));
    lines.forEach((text, i) => group.append(element('text', {x: WIDTH / 2, y: PADDING + (i + 0.75) * LINE},
      text.length > 26 ? `${text.slice(0, 25)}…` : text)));
    svg.append(group);
  }
  parent.replaceChildren(svg);
}
