export default {
  trainer: 'nearest-mean',
  params: {},
  reference: {
    title: 'NearestCentroid',
    model: 'from sklearn.neighbors import NearestCentroid\nmodel = NearestCentroid()',
  },
}
