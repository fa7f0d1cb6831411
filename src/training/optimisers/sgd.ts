import type { Optimiser, SgdOptions } from './contract.js'

/** Keeps the momentum of weights that no longer learn from decaying into denormal numbers, which are slow. */
const keepsNormal = 1e-30

/** Stochastic gradient descent as torch.optim.SGD has it: decay added to the gradient, momentum without dampening. */
export function sgd(options: SgdOptions): Optimiser {
  const momentum = options.momentum ?? 0.9
  const nesterov = options.nesterov ?? true
  return {
    id: 'sgd',
    slots: momentum > 0 ? ['momentum'] : [],
    step(g, { parameter, gradient, state, rate, decay, number }) {
      const direction = decay > 0 ? g.add('Add', [gradient, g.add('Mul', [parameter, number(decay)])]) : gradient
      if (momentum === 0) {
        return { parameter: g.add('Sub', [parameter, g.add('Mul', [direction, rate])]), state: [] }
      }
      const kept = g.add('Add', [g.add('Mul', [state[0]!, number(momentum)]), number(keepsNormal)])
      const velocity = g.add('Add', [kept, direction])
      const move = nesterov ? g.add('Add', [direction, g.add('Mul', [velocity, number(momentum)])]) : velocity
      return { parameter: g.add('Sub', [parameter, g.add('Mul', [move, rate])]), state: [velocity] }
    },
  }
}
