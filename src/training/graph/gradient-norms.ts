import type { GraphBuilder } from '../../onnx/build.js'

/** Parts of a network whose gradient norms are distinguished, and which part a parameter belongs to. */
export interface NormParts {
  readonly names: readonly string[]
  of(name: string): string
}

/** √Σ‖gradient‖² over all parameters, a scalar, and over each part of the network, `[parts]`. */
export function gradientNorms(
  g: GraphBuilder,
  gradients: ReadonlyMap<string, string>,
  parts: NormParts | undefined,
): { norm: string; norms?: string | undefined } {
  const squares = new Map<string, string>()
  for (const [name, gradient] of gradients) squares.set(name, g.add('ReduceSumSquare', [gradient], { keepdims: 0 }))
  const sum = (list: readonly string[]) =>
    list.length === 0 ? g.floats(0) : list.length === 1 ? list[0]! : g.add('Sum', list)
  const norm = g.add('Sqrt', [sum([...squares.values()])])
  if (!parts || parts.names.length === 0) return { norm }
  const each = parts.names.map((part) =>
    g.add('Reshape', [sum([...squares].flatMap(([name, s]) => (parts.of(name) === part ? [s] : []))), g.ints([1])]),
  )
  return { norm, norms: g.add('Sqrt', [each.length === 1 ? each[0]! : g.add('Concat', each, { axis: 0 })]) }
}

/** Factor of all gradients, at most 1, that holds their norm to `maxNorm`, as `torch.nn.utils.clip_grad_norm_`. */
export function clipFactor(g: GraphBuilder, norm: string, maxNorm: number): string {
  const ratio = g.add('Div', [g.floats(maxNorm), g.add('Add', [norm, g.floats(1e-6)])])
  return g.add('Min', [ratio, g.floats(1)])
}
