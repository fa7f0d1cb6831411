import type { Optimiser, SgdOptions } from './contract.js'

/** Stochastic gradient descent as torch.optim.SGD has it: decay added to the gradient, momentum without dampening. */
export function sgd(options: SgdOptions): Optimiser {
  const momentum = options.momentum ?? 0.9
  const nesterov = options.nesterov ?? true
  return {
    id: 'sgd',
    slots: momentum > 0 ? ['momentum'] : [],
    step(g, { parameter, gradient, state, rate, decay }) {
      const direction = decay > 0 ? g.add('Add', [gradient, g.add('Mul', [parameter, g.floats(decay)])]) : gradient
      if (momentum === 0) {
        return { parameter: g.add('Sub', [parameter, g.add('Mul', [direction, rate])]), state: [] }
      }
      const velocity = g.add('Add', [g.add('Mul', [state[0]!, g.floats(momentum)]), direction])
      const move = nesterov ? g.add('Add', [direction, g.add('Mul', [velocity, g.floats(momentum)])]) : velocity
      return { parameter: g.add('Sub', [parameter, g.add('Mul', [move, rate])]), state: [velocity] }
    },
  }
}
