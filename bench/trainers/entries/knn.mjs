/** Nothing is fitted: prediction of the held-out rows counts. */
export default {
  trainer: 'knn',
  params: { n_neighbors: 5 },
  timed: 'fit+predict',
  reference: {
    title: 'KNeighborsClassifier',
    model: 'from sklearn.neighbors import KNeighborsClassifier\nmodel = KNeighborsClassifier(5, n_jobs=n_jobs)',
  },
}
