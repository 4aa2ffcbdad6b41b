// Something for a debugger to look at.
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

template <typename T>
struct Tree {
    T value;
    std::vector<std::unique_ptr<Tree>> children;
    std::map<std::string, int> names;
};

int watched = 0;

int depth(const Tree<int> &tree) {
    int most = 0;
    for (const auto &child : tree.children) most = std::max(most, depth(*child));
    watched += tree.value;
    return most + 1;
}

int main() {
    Tree<int> root{1, {}, {{"one", 1}, {"two", 2}}};
    Tree<int> *at = &root;
    for (int i = 2; i < 20; i++) {
        at->children.push_back(std::make_unique<Tree<int>>(Tree<int>{i, {}, {{std::string(i, 'x'), i}}}));
        at = at->children.back().get();
    }
    std::thread other([] { watched = 0; });
    other.join();
    int all = depth(root);
    try {
        throw std::runtime_error("caught");
    } catch (const std::exception &) {
        all++;
    }
    return all == 20 ? 7 : 1;
}
