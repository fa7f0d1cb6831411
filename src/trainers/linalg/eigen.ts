/** Eigenvalues, descending, and eigenvectors as rows (`vectors[k * n + i]` is component i of the k-th). */
export interface Eigen {
  readonly values: Float64Array
  readonly vectors: Float64Array
}

/**
 * Eigenvalues and eigenvectors of a symmetric matrix by Householder tridiagonalisation and QL iteration with implicit
 * shifts (Wilkinson and Reinsch, Handbook for Automatic Computation II, 1971).
 *
 * @param matrix `[n, n]` row-major, symmetric; not changed
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  const a = Float64Array.from(matrix)
  const diagonal = new Float64Array(n)
  const off = new Float64Array(n)
  tridiagonalise(a, n, diagonal, off)
  implicitQl(a, n, diagonal, off)
  const order = [...diagonal.keys()].sort((p, q) => diagonal[q]! - diagonal[p]!)
  const vectors = new Float64Array(n * n)
  for (const [k, column] of order.entries()) for (let i = 0; i < n; i++) vectors[k * n + i] = a[i * n + column]!
  return { values: Float64Array.from(order, (column) => diagonal[column]!), vectors }
}

/** On return `a` holds the orthogonal transformation, `d` the diagonal and `e[1…]` the off-diagonal. */
function tridiagonalise(a: Float64Array, n: number, d: Float64Array, e: Float64Array): void {
  for (let i = n - 1; i > 0; i--) {
    const row = i * n
    let h = 0
    let scale = 0
    for (let k = 0; k < i; k++) scale += Math.abs(a[row + k]!)
    if (i === 1 || scale === 0) {
      e[i] = a[row + i - 1]!
    } else {
      for (let k = 0; k < i; k++) {
        a[row + k]! /= scale
        h += a[row + k]! * a[row + k]!
      }
      const f = a[row + i - 1]!
      const g = f >= 0 ? -Math.sqrt(h) : Math.sqrt(h)
      e[i] = scale * g
      h -= f * g
      a[row + i - 1] = f - g
      let sum = 0
      for (let j = 0; j < i; j++) {
        a[j * n + i] = a[row + j]! / h
        let dot = 0
        for (let k = 0; k <= j; k++) dot += a[j * n + k]! * a[row + k]!
        for (let k = j + 1; k < i; k++) dot += a[k * n + j]! * a[row + k]!
        e[j] = dot / h
        sum += e[j]! * a[row + j]!
      }
      const half = sum / (h + h)
      for (let j = 0; j < i; j++) {
        const u = a[row + j]!
        const p = e[j]! - half * u
        e[j] = p
        for (let k = 0; k <= j; k++) a[j * n + k]! -= u * e[k]! + p * a[row + k]!
      }
    }
    d[i] = h
  }
  d[0] = 0
  e[0] = 0
  for (let i = 0; i < n; i++) {
    if (d[i] !== 0) {
      for (let j = 0; j < i; j++) {
        let g = 0
        for (let k = 0; k < i; k++) g += a[i * n + k]! * a[k * n + j]!
        for (let k = 0; k < i; k++) a[k * n + j]! -= g * a[k * n + i]!
      }
    }
    d[i] = a[i * n + i]!
    a[i * n + i] = 1
    for (let j = 0; j < i; j++) {
      a[j * n + i] = 0
      a[i * n + j] = 0
    }
  }
}

function implicitQl(a: Float64Array, n: number, d: Float64Array, e: Float64Array): void {
  e.copyWithin(0, 1)
  e[n - 1] = 0
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; iteration < 60; iteration++) {
      let m = l
      while (m < n - 1) {
        const size = Math.abs(d[m]!) + Math.abs(d[m + 1]!)
        if (Math.abs(e[m]!) <= Number.EPSILON * size) break
        m++
      }
      if (m === l) break
      let g = (d[l + 1]! - d[l]!) / (2 * e[l]!)
      let r = Math.hypot(g, 1)
      g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r))
      let s = 1
      let c = 1
      let p = 0
      let i = m - 1
      for (; i >= l; i--) {
        const f = s * e[i]!
        const b = c * e[i]!
        r = Math.hypot(f, g)
        e[i + 1] = r
        if (r === 0) {
          d[i + 1]! -= p
          e[m] = 0
          break
        }
        s = f / r
        c = g / r
        g = d[i + 1]! - p
        r = (d[i]! - g) * s + 2 * c * b
        p = s * r
        d[i + 1] = g + p
        g = c * r - b
        for (let k = 0; k < n; k++) {
          const upper = a[k * n + i + 1]!
          const lower = a[k * n + i]!
          a[k * n + i + 1] = s * lower + c * upper
          a[k * n + i] = c * lower - s * upper
        }
      }
      if (r === 0 && i >= l) continue
      d[l]! -= p
      e[l] = g
      e[m] = 0
    }
  }
}
