// Minimisation of logic functions: implicants are merged where they differ in one variable, until
// none can be; then a few that cover all are chosen. Each implicant is a small object in a set, and
// whole generations of sets are built and dropped.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace {

struct Implicant {
  uint32_t value;
  uint32_t open;  // the variables that may have either value
  std::vector<uint32_t> covers;
};

using Implicants = std::list<std::unique_ptr<Implicant>>;
using Key = std::pair<uint32_t, uint32_t>;

uint64_t state = 1;
uint64_t random_bits() {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

// One generation from the one before; what could not be merged goes to `prime`.
Implicants merged(Implicants all, int variables, Implicants& prime) {
  std::map<Key, Implicant*> known;
  for (auto& one : all) known[{one->open, one->value}] = one.get();
  std::map<Key, std::unique_ptr<Implicant>> next;
  std::set<Key> used;
  for (auto& one : all) {
    for (int bit = 0; bit < variables; ++bit) {
      uint32_t mask = 1u << bit;
      if ((one->open | one->value) & mask) continue;
      auto other = known.find({one->open, one->value | mask});
      if (other == known.end()) continue;
      used.insert({one->open, one->value});
      used.insert(other->first);
      auto& both = next[{one->open | mask, one->value}];
      if (both) continue;
      both = std::make_unique<Implicant>(Implicant{one->value, one->open | mask, one->covers});
      both->covers.insert(both->covers.end(), other->second->covers.begin(),
                          other->second->covers.end());
    }
  }
  for (auto& one : all)
    if (!used.count({one->open, one->value})) prime.push_back(std::move(one));
  Implicants result;
  for (auto& entry : next) result.push_back(std::move(entry.second));
  return result;
}

// Takes the implicant that covers most of what is left, until nothing is.
size_t chosen(const Implicants& prime) {
  std::set<uint32_t> left;
  for (auto& one : prime) left.insert(one->covers.begin(), one->covers.end());
  size_t count = 0;
  while (!left.empty()) {
    const Implicant* best = nullptr;
    size_t most = 0;
    for (auto& one : prime) {
      size_t covered = 0;
      for (uint32_t term : one->covers) covered += left.count(term);
      if (covered > most) most = covered, best = one.get();
    }
    for (uint32_t term : best->covers) left.erase(term);
    ++count;
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  const int variables = 9;
  double scale = argc > 1 ? std::atof(argv[1]) : 1.0;
  int functions = static_cast<int>(200 * scale);
  size_t total = 0;
  for (int function = 0; function < functions + 1; ++function) {
    Implicants all, prime;
    for (uint32_t term = 0; term < 1u << variables; ++term)
      if (random_bits() % 10 < 7)
        all.push_back(std::make_unique<Implicant>(Implicant{term, 0, {term}}));
    while (!all.empty()) all = merged(std::move(all), variables, prime);
    total += chosen(prime);
  }
  std::printf("%zu implicants\n", total);
}
