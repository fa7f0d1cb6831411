import type { Optimizer, SgdOptions } from './contract.js'

/** Keeps the momentum of weights that no longer learn from decaying into denormal numbers, which are slow. */
const keepsNormal = 1e-30

/** Stochastic gradient descent as torch.optim.SGD has it: decay added to the gradient, momentum without dampening. */
export function sgd(options: SgdOptions): Optimizer {
  const momentum = options.momentum ?? 0.9
  const nesterov = options.nesterov ?? true
  return {
    id: 'sgd',
    slots: momentum > 0 ? ['momentum'] : [],
    step(g, { parameter, gradient, state, lr, decay, number }) {
      const direction = decay > 0 ? g.add('Add', [gradient, g.add('Mul', [parameter, number(decay)])]) : gradient
      if (momentum === 0) {
        return { parameter: g.add('Sub', [parameter, g.add('Mul', [direction, lr])]), state: [] }
      }
      // Kept is what the next step begins with, momentum times the velocity: Nesterov's step needs the same number.
      const velocity = g.add('Add', [state[0]!, direction])
      let kept = g.add('Mul', [velocity, number(momentum)])
      const move = nesterov ? g.add('Add', [direction, kept]) : velocity
      // A weight that decays has a gradient as long as it is there.
      if (decay === 0) kept = g.add('Add', [kept, number(keepsNormal)])
      return { parameter: g.add('Sub', [parameter, g.add('Mul', [move, lr])]), state: [kept] }
    },
  }
}
