// Objectives recomputed from what a fit returned, in float64 and apart from the solvers.

function margins(model, { x }) {
  const { weights, bias } = model.parts
  const classes = bias.length
  const z = new Float64Array(x.rows * classes)
  for (let i = 0; i < x.rows; i++) {
    // Zeros are most of a row: skip them once for all classes.
    const place = []
    for (let j = 0; j < x.cols; j++) if (x.data[i * x.cols + j] !== 0) place.push(j)
    for (let c = 0; c < classes; c++) {
      let sum = bias[c]
      for (const j of place) sum += x.data[i * x.cols + j] * weights[c * x.cols + j]
      z[i * classes + c] = sum
    }
  }
  return z
}

const squares = (list) => list.reduce((sum, v) => sum + v * v, 0)

/** Σ over the classes of ½‖w‖² + ½b² + C Σ loss, as liblinear has it. */
export function oneVersusRest(model, set, c, squared) {
  const classes = model.parts.bias.length
  const z = margins(model, set)
  let loss = 0
  for (let i = 0; i < set.y.length; i++) {
    for (let k = 0; k < classes; k++) {
      const room = Math.max(0, 1 - (set.y[i] === k ? 1 : -1) * z[i * classes + k])
      loss += squared ? room * room : room
    }
  }
  return 0.5 * (squares(model.parts.weights) + squares(model.parts.bias)) + c * loss
}

/** ½‖w‖² − C Σ log p, the bias free. */
export function multinomial(model, set, c) {
  const classes = model.parts.bias.length
  const z = margins(model, set)
  let loss = 0
  for (let i = 0; i < set.y.length; i++) {
    const row = z.subarray(i * classes, (i + 1) * classes)
    const top = Math.max(...row)
    loss += Math.log(row.reduce((sum, v) => sum + Math.exp(v - top), 0)) + top - row[set.y[i]]
  }
  return 0.5 * squares(model.parts.weights) + c * loss
}
