/** With probabilities by Platt scaling on five held-out folds; too slow in scikit-learn at the large size. */
export default {
  trainer: 'kernel-svm',
  params: { C: 1, probability: true },
  sizes: ['small', 'medium'],
  reference: {
    title: 'SVC probability',
    model: `
import warnings
warnings.filterwarnings("ignore")
from sklearn.svm import SVC
model = SVC(C=1.0, tol=1e-3, gamma="scale", probability=True, random_state=seed)`,
  },
}
