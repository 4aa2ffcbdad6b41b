// For the compiler to work on: templates of the standard library, many times over.
#include <algorithm>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N>
struct Tag {
  std::string name = "tag" + std::to_string(N);
  std::vector<std::pair<int, std::string>> items;
  bool operator<(const Tag& other) const { return name < other.name; }
};

template <int N>
int work() {
  std::map<std::string, std::vector<std::shared_ptr<Tag<N>>>> by_name;
  std::set<Tag<N>> all;
  std::unordered_map<int, std::deque<Tag<N>>> queues;
  std::vector<std::function<int(const Tag<N>&)>> functions;
  functions.push_back([](const Tag<N>& tag) { return static_cast<int>(tag.items.size()); });
  for (int i = 0; i < N; ++i) {
    auto tag = std::make_shared<Tag<N>>();
    tag->items.emplace_back(i, std::to_string(i));
    by_name[tag->name].push_back(tag);
    all.insert(*tag);
    queues[i % 7].push_back(*tag);
  }
  std::vector<Tag<N>> sorted(all.begin(), all.end());
  std::stable_sort(sorted.begin(), sorted.end());
  std::variant<int, std::string, Tag<N>> one = sorted.front();
  std::ostringstream out;
  std::visit([&](auto&& value) { out << sizeof(value); }, one);
  return functions.front()(sorted.front()) + static_cast<int>(out.str().size());
}

template <int N>
int all_of() {
  if constexpr (N == 0) {
    return 0;
  } else {
    return work<N>() + all_of<N - 1>();
  }
}

int main() {
  std::cout << all_of<COUNT>() << "\n";
}
