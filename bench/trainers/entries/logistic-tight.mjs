import logistic from './logistic.mjs'

/**
 * scikit-learn stops where its objective is still 2e-3 above the least: here with the tolerance at which both
 * objectives agree.
 */
export default {
  ...logistic,
  reference: {
    ...logistic.reference,
    title: 'LogisticRegression tol 1e-6',
    model: logistic.reference.model.replace('tol=1e-4', 'tol=1e-6'),
  },
}
