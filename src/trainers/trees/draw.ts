import { type CountedTree, impurity } from './growing/prune.js'

/** What the images of a tree need besides it. */
export interface TreeNames {
  readonly classes: readonly string[]
  readonly criterion: 'gini' | 'entropy'
}

/** Deeper nodes are summed up in one line, or in one box. */
const drawnDepth = { text: 20, svg: 6 } as const
const box = { width: 168, height: 62, gapX: 14, gapY: 44, margin: 16, letters: 24 } as const

const short = (value: number): string => String(Number(value.toPrecision(4)))
/** Labels come from outside: control and bidirectional characters have no place in a terminal or image. */
const plain = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]/gu, '\uFFFD')
const escaped = (text: string): string => plain(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

interface NodeFacts {
  readonly label: string
  readonly share: number
  readonly weight: number
  readonly impurity: number
}

function factsOf(tree: CountedTree, node: number, { classes, criterion }: TreeNames): NodeFacts {
  const counts = tree.counts.subarray(node * classes.length, (node + 1) * classes.length)
  const weight = counts.reduce((a, b) => a + b, 0)
  const top = counts.indexOf(Math.max(...counts))
  return { label: plain(classes[top]!), share: counts[top]! / weight, weight, impurity: impurity(counts, criterion) }
}

/** The tree as indented text, one line a question or answer; `x[k]` is column k of the embedding, counted from 0. */
export function treeText(tree: CountedTree, names: TreeNames): string {
  const lines: string[] = []
  const stack: { node: number; depth: number; say: string }[] = [{ node: 0, depth: 0, say: '' }]
  for (let next = stack.pop(); next; next = stack.pop()) {
    const { node, depth, say } = next
    const indent = '|   '.repeat(Math.max(0, depth - 1)) + (depth > 0 ? '|--- ' : '')
    const { label, share, weight, impurity: dirt } = factsOf(tree, node, names)
    const answer = `${label} (${short(100 * share)} % of weight ${short(weight)}, ${names.criterion} ${short(dirt)})`
    const f = tree.feature[node]!
    if (f < 0 || depth >= drawnDepth.text) lines.push(`${indent}${say}${answer}${f < 0 ? '' : ' … deeper'}`)
    else {
      if (say || depth === 0) lines.push(`${indent}${say.replace(/: $/, '') || `all: ${answer}`}`)
      const threshold = short(tree.threshold[node]!)
      stack.push(
        { node: tree.right[node]!, depth: depth + 1, say: `x[${f}] > ${threshold}: ` },
        { node: tree.left[node]!, depth: depth + 1, say: `x[${f}] <= ${threshold}: ` },
      )
    }
  }
  return `${lines.join('\n')}\n`
}

const colour = (c: number, classes: number, share: number): string =>
  `hsl(${Math.round((360 * c) / classes)} 60% ${Math.round(97 - 32 * share)}%)`

/**
 * The tree as an image that stands alone: a box a node, coloured by its class and paler the less sure; six levels at
 * most.
 */
export function treeSvg(tree: CountedTree, names: TreeNames): string {
  const x = new Float64Array(tree.feature.length)
  const shown: { node: number; depth: number }[] = []
  let column = 0
  let deepest = 0
  const place = (node: number, depth: number): void => {
    shown.push({ node, depth })
    deepest = Math.max(deepest, depth)
    if (tree.feature[node]! < 0 || depth === drawnDepth.svg) {
      x[node] = box.margin + box.width / 2 + column++ * (box.width + box.gapX)
      return
    }
    place(tree.left[node]!, depth + 1)
    place(tree.right[node]!, depth + 1)
    x[node] = (x[tree.left[node]!]! + x[tree.right[node]!]!) / 2
  }
  place(0, 0)
  const y = (depth: number): number => box.margin + depth * (box.height + box.gapY)
  const width = Math.ceil(2 * box.margin + column * box.width + (column - 1) * box.gapX)
  const height = Math.ceil(y(deepest) + box.height + box.margin)
  const lines: string[] = []
  const boxes: string[] = []
  for (const { node, depth } of shown) {
    const facts = factsOf(tree, node, names)
    const at = { x: x[node]!, y: y(depth) }
    const f = tree.feature[node]!
    const cut = f >= 0 && depth === drawnDepth.svg
    if (f >= 0 && !cut) {
      for (const [child, word] of [
        [tree.left[node]!, 'yes'],
        [tree.right[node]!, 'no'],
      ] as const) {
        const end = { x: x[child]!, y: y(depth + 1) }
        const middle = (at.y + box.height + end.y) / 2
        lines.push(
          `<path d="M${at.x} ${at.y + box.height}C${at.x} ${middle} ${end.x} ${middle} ${end.x} ${end.y}"/>`,
          `<text class="w" x="${end.x + (word === 'yes' ? -14 : 14)}" y="${end.y - 6}">${word}</text>`,
        )
      }
    }
    const label = facts.label.length > box.letters ? `${facts.label.slice(0, box.letters - 1)}…` : facts.label
    const question = f < 0 ? '' : cut ? '… deeper' : `x[${f}] ≤ ${short(tree.threshold[node]!)}`
    const rows = [
      ...(question ? [question] : []),
      label,
      `${short(100 * facts.share)} % of ${short(facts.weight)}`,
      ...(question ? [] : [`${names.criterion} ${short(facts.impurity)}`]),
    ]
    const fill = colour(
      names.classes.findIndex((name) => plain(name) === facts.label),
      names.classes.length,
      facts.share,
    )
    boxes.push(
      `<g><title>${escaped(facts.label)}</title>`,
      `<rect x="${at.x - box.width / 2}" y="${at.y}" width="${box.width}" height="${box.height}" rx="6" ` +
        `fill="${fill}"/>`,
      ...rows.map(
        (row, k) => `<text x="${at.x}" y="${at.y + 19 + 17 * k}"${k === 0 ? ' class="b"' : ''}>${escaped(row)}</text>`,
      ),
      '</g>',
    )
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" ` +
      `height="${height}" role="img" aria-label="Decision tree">`,
    '<style>text{font:12px system-ui,sans-serif;text-anchor:middle;fill:#222}.b{font-weight:600}' +
      '.w{fill:#666;font-size:11px}rect{stroke:#666}path{fill:none;stroke:#999}</style>',
    `<rect width="${width}" height="${height}" fill="#fff" style="stroke:none"/>`,
    ...lines,
    ...boxes,
    '</svg>\n',
  ].join('\n')
}
