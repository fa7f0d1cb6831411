import type { AdamOptions, Optimizer } from './contract.js'

/**
 * Added to every gradient: moments of weights that no longer learn (a dead ReLU's) would decay into denormal numbers,
 * which slow the processor down several times. Its square times 1 − β₂ is no denormal yet; against ε it moves nothing.
 */
const keepsNormal = 1e-17

/** Adam and AdamW as torch.optim has them (Kingma and Ba 2015; Loshchilov and Hutter 2019). */
export function adam(options: AdamOptions): Optimizer {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999]
  const epsilon = options.epsilon ?? 1e-8
  const decoupled = options.kind === 'adamw'
  return {
    id: options.kind,
    // Each over 1 − β.
    slots: ['mean', 'square'],
    shared(g, step) {
      // 1 − βᵗ in double precision: in single, 1 − 0.999 alone is off by 5e-5.
      const time = g.add('Cast', [step], { to: 11 })
      const correction = (beta: number) => {
        const one = g.initializer(g.fresh('one'), 'float64', [], Float64Array.of(1))
        const base = g.initializer(g.fresh('beta'), 'float64', [], Float64Array.of(beta))
        return g.add('Sub', [one, g.add('Pow', [base, time])])
      }
      const single = (x: string) => g.add('Cast', [x], { to: 1 })
      return [single(correction(beta1)), single(g.add('Sqrt', [correction(beta2)]))]
    },
    step(g, { parameter, gradient, state, lr, decay, number }, [first, second]) {
      let start = parameter
      let slope = g.add('Add', [gradient, number(keepsNormal)])
      if (decay > 0 && decoupled) {
        const keep = g.add('Sub', [number(1), g.add('Mul', [lr, number(decay)])])
        start = g.add('Mul', [parameter, keep])
      } else if (decay > 0) slope = g.add('Add', [slope, g.add('Mul', [parameter, number(decay)])])
      // Kept are the moments over 1 − β, so that what is new comes in as it is: two passes over all weights less.
      const decayed = (old: string, beta: number) => g.add('Mul', [old, number(beta)])
      const mean = g.add('Add', [decayed(state[0]!, beta1), slope])
      const square = g.add('Add', [decayed(state[1]!, beta2), g.add('Mul', [slope, slope])])
      // Everything else as scalars: with M = m/(1 − β₁) and V = v/(1 − β₂), (m/c₁) / (√v/c₂ + ε) = (r·c₂/c₁)·(1 −
      // β₁)/√(1 − β₂) · M / (√V + ε·c₂/√(1 − β₂)).
      const root = Math.sqrt(1 - beta2)
      const ratio = g.add('Mul', [g.add('Div', [second!, first!]), number((1 - beta1) / root)])
      const bottom = g.add('Add', [g.add('Sqrt', [square]), g.add('Mul', [second!, number(epsilon / root)])])
      const move = g.add('Mul', [g.add('Div', [mean, bottom]), g.add('Mul', [lr, ratio])])
      return { parameter: g.add('Sub', [start, move]), state: [mean, square] }
    },
  }
}
