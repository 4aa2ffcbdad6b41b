"""Builds trees of objects, walks them and forgets most of them."""
import sys


class Node:
    def __init__(self, left, right, label):
        self.left, self.right, self.label = left, right, label


def tree(depth, label):
    if depth == 0:
        return Node(None, None, {"label": label})
    return Node(tree(depth - 1, label * 2), tree(depth - 1, label * 2 + 1), [label])


def total(node):
    if node.left is None:
        return node.label["label"]
    return total(node.left) + total(node.right)


kept = []
for i in range(max(1, int(16 * float(sys.argv[1])))):
    one = tree(14, i)
    total(one)
    if i % 4 == 0:
        kept.append(one)
