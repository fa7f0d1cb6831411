import { multinomial } from '../objectives.mjs'

export default {
  trainer: 'logistic',
  params: { C: 10 },
  targets: { medium: 3, large: 6 },
  objective: (model, set) => multinomial(model, set, 10),
  reference: {
    title: 'LogisticRegression',
    model: `
from sklearn.linear_model import LogisticRegression
model = LogisticRegression(C=10.0, tol=1e-4, max_iter=1000, random_state=seed)`,
    objective: `
z = x.astype(np.float64) @ model.coef_.T.astype(np.float64) + model.intercept_
top = z.max(1)
loss = np.log(np.exp(z - top[:, None]).sum(1)) + top - z[np.arange(len(y)), y]
objective = 0.5 * (model.coef_.astype(np.float64) ** 2).sum() + 10 * loss.sum()`,
  },
}
