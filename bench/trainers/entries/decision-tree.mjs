export default {
  trainer: 'decision-tree',
  reference: {
    title: 'DecisionTree',
    model: `
from sklearn.tree import DecisionTreeClassifier
model = DecisionTreeClassifier(random_state=seed)`,
  },
}
