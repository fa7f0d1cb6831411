/** The module's functions in their order; they are numbered behind the import. */
export const order = [
  ...(['collect', 'sortFew', 'sortMany', 'sort'] as const),
  ...(['sweepGini', 'sweepEntropy', 'judgeBest', 'judgeRandom'] as const),
  ...(['gatherRows', 'gatherColumns', 'draw', 'gatherBlock', 'search', 'edge', 'part', 'grow'] as const),
]
export const fn = Object.fromEntries(order.map((name, k) => [name, k + 1])) as Readonly<
  Record<(typeof order)[number], number>
>
