/**
 * scikit-learn writes the covariance out and solves by least squares: minutes at 4,096 columns beyond the small size.
 */
export default {
  trainer: 'lda',
  params: {},
  reference: {
    title: 'LDA lsqr',
    model: `
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")`,
  },
}
