// Containers, strings, smart pointers, aligned types, exceptions and threads of the standard
// library, each under a load of small allocations; prints sums that depend on nothing but this file.
#include <algorithm>
#include <any>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <functional>
#include <future>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <numeric>
#include <optional>
#include <queue>
#include <random>
#include <regex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace {

using Random = std::mt19937_64;

std::string word(Random &random, std::size_t most) {
    std::string text(1 + random() % most, ' ');
    for (char &letter : text) letter = static_cast<char>('a' + random() % 26);
    return text;
}

std::uint64_t sum(const std::string &text) {
    std::uint64_t value = 1469598103934665603u;
    for (unsigned char byte : text) value = (value ^ byte) * 1099511628211u;
    return value;
}

std::uint64_t maps(Random &random) {
    std::map<std::string, std::vector<std::string>> sorted;
    std::unordered_map<std::string, std::list<std::uint64_t>> hashed;
    std::multiset<std::uint64_t> numbers;
    for (int i = 0; i < 60000; i++) {
        std::string key = word(random, 4), value = word(random, 60);
        sorted[key].push_back(value);
        hashed[value.substr(0, 2)].push_front(random() % 1000);
        numbers.insert(random() % 5000);
        if (i % 3 == 0 && !sorted.empty()) sorted.erase(sorted.begin());
        if (i % 5 == 0) numbers.erase(numbers.begin());
    }
    std::uint64_t total = numbers.size();
    for (auto &[key, values] : sorted) {
        std::sort(values.begin(), values.end());
        for (auto &value : values) total += sum(key + value);
    }
    for (auto &[key, list] : hashed) total += sum(key) * std::accumulate(list.begin(), list.end(), std::uint64_t{1});
    return total;
}

struct Node {
    virtual ~Node() = default;
    virtual std::uint64_t value() const = 0;
};
struct Leaf final : Node {
    std::uint64_t number;
    explicit Leaf(std::uint64_t number) : number(number) {}
    std::uint64_t value() const override { return number; }
};
struct Inner final : Node {
    std::vector<std::unique_ptr<Node>> children;
    std::string name;
    std::uint64_t value() const override {
        std::uint64_t total = sum(name);
        for (auto &child : children) total = total * 31 + child->value();
        return total;
    }
};
std::unique_ptr<Node> tree(Random &random, int depth) {
    if (depth == 0) return std::make_unique<Leaf>(random() % 100);
    auto inner = std::make_unique<Inner>();
    inner->name = word(random, 40);
    for (std::uint64_t i = 0, count = 1 + random() % 5; i < count; i++) inner->children.push_back(tree(random, depth - 1));
    return inner;
}

struct alignas(64) Line {
    std::uint64_t words[8];
};
struct alignas(4096) Page {
    unsigned char bytes[4096];
};
std::uint64_t aligned(Random &random) {
    std::uint64_t total = 0;
    std::vector<std::unique_ptr<Line>> lines;
    std::vector<std::unique_ptr<Page[]>> pages;
    for (int i = 0; i < 20000; i++) {
        lines.push_back(std::make_unique<Line>());
        lines.back()->words[random() % 8] = random() % 100;
        if (reinterpret_cast<std::uintptr_t>(lines.back().get()) % 64 != 0) throw std::logic_error("a line is not aligned");
        if (i % 100 == 0) pages.emplace_back(new Page[1 + random() % 4]);
        if (reinterpret_cast<std::uintptr_t>(pages.back().get()) % 4096 != 0) throw std::logic_error("a page is not aligned");
        if (i % 2) std::swap(lines[random() % lines.size()], lines.back()), lines.pop_back();
    }
    for (auto &line : lines) total += std::accumulate(line->words, line->words + 8, std::uint64_t{0});
    return total + pages.size();
}

std::uint64_t strings(Random &random) {
    std::ostringstream out;
    std::string text;
    for (int i = 0; i < 20000; i++) {
        text.insert(text.size() / 2, word(random, 10));
        if (text.size() > 2000) text.erase(100, 1500);
        out << i << ' ' << text.substr(0, random() % 100) << '\n';
    }
    std::istringstream in(out.str());
    std::uint64_t total = 0;
    for (std::string line; std::getline(in, line);) total += sum(line);
    std::regex pattern("([a-m]+)([n-z]+)([a-m]*)");
    const std::string some = out.str().substr(0, 100000);
    for (std::sregex_iterator match(some.begin(), some.end(), pattern), end; match != end; ++match) total += sum(match->str(2));
    return total;
}

std::uint64_t queues(Random &random) {
    std::deque<std::string> deque;
    std::priority_queue<std::pair<std::uint64_t, std::string>> first;
    std::forward_list<std::variant<int, std::string, std::vector<double>>> variants;
    std::vector<std::any> anything;
    std::uint64_t total = 0;
    for (int i = 0; i < 50000; i++) {
        deque.push_back(word(random, 30));
        deque.push_front(word(random, 3));
        if (i % 2) total += sum(deque.back()), deque.pop_back();
        first.emplace(random() % 1000, word(random, 20));
        if (i % 3) total += first.top().first, first.pop();
        if (i % 4 == 0) variants.emplace_front(word(random, 50));
        if (i % 4 == 1) variants.emplace_front(std::vector<double>(random() % 50, 1.0));
        if (i % 64 == 0) anything.emplace_back(std::make_shared<std::string>(word(random, 99)));
    }
    for (auto &variant : variants) total += variant.index();
    for (auto &any : anything) total += sum(*std::any_cast<std::shared_ptr<std::string>>(any));
    return total + deque.size();
}

std::uint64_t exceptions(Random &random) {
    std::uint64_t total = 0;
    for (int i = 0; i < 20000; i++) {
        try {
            std::vector<std::string> lost(random() % 20, word(random, 40));
            if (i % 2) throw std::runtime_error(word(random, 100));
            lost.at(100);
        } catch (const std::out_of_range &) {
            total++;
        } catch (const std::runtime_error &error) {
            total += sum(error.what());
        }
    }
    for (int i = 0; i < 50; i++) {
        try {
            std::vector<char> never(std::size_t{1} << 62);
            total += never.size();
        } catch (const std::bad_alloc &) {
            total++;
        }
        volatile std::size_t huge = std::size_t{1} << 62;
        if (new (std::nothrow) char[huge] == nullptr) total++;
    }
    return total;
}

std::uint64_t resources(Random &random) {
    std::pmr::synchronized_pool_resource pool;
    std::pmr::monotonic_buffer_resource buffer(&pool);
    std::pmr::vector<std::pmr::string> texts(&pool);
    std::pmr::map<int, std::pmr::string> map(&buffer);
    std::uint64_t total = 0;
    for (int i = 0; i < 30000; i++) {
        texts.emplace_back(word(random, 80));
        if (i % 3 == 2) texts.erase(texts.end() - 2);
        map.emplace(static_cast<int>(random() % 100000), word(random, 30));
    }
    for (auto &text : texts) total += sum(std::string(text));
    return total + map.size();
}

// Objects made in one thread and freed in another.
std::uint64_t threads() {
    std::mutex lock;
    std::condition_variable filled;
    std::queue<std::unique_ptr<std::vector<std::string>>> queue;
    std::atomic<std::uint64_t> total{0};
    int producing = 3;
    std::vector<std::thread> all;
    for (unsigned number = 0; number < 3; number++) {
        all.emplace_back([&, number] {
            Random random(number);
            for (int i = 0; i < 3000; i++) {
                auto texts = std::make_unique<std::vector<std::string>>();
                for (int j = 0; j < 20; j++) texts->push_back(word(random, 100));
                std::lock_guard<std::mutex> held(lock);
                queue.push(std::move(texts));
                filled.notify_one();
            }
            std::lock_guard<std::mutex> held(lock);
            producing--;
            filled.notify_all();
        });
        all.emplace_back([&] {
            for (;;) {
                std::unique_lock<std::mutex> held(lock);
                filled.wait(held, [&] { return !queue.empty() || producing == 0; });
                if (queue.empty()) return;
                auto texts = std::move(queue.front());
                queue.pop();
                held.unlock();
                std::uint64_t own = 0;
                for (auto &text : *texts) own += sum(text);
                total += own;
            }
        });
    }
    std::vector<std::future<std::uint64_t>> futures;
    for (unsigned number = 0; number < 200; number++) {
        futures.push_back(std::async(std::launch::async, [number] {
            Random random(number);
            std::set<std::string> set;
            for (int i = 0; i < 200; i++) set.insert(word(random, 50));
            return sum(*set.begin()) + set.size();
        }));
    }
    for (auto &future : futures) total += future.get();
    for (auto &thread : all) thread.join();
    return total;
}

}  // namespace

int main() {
    Random random(20240229);
    std::cout << "maps " << maps(random) << '\n';
    std::cout << "tree " << tree(random, 10)->value() << '\n';
    std::cout << "aligned " << aligned(random) << '\n';
    std::cout << "strings " << strings(random) << '\n';
    std::cout << "queues " << queues(random) << '\n';
    std::cout << "exceptions " << exceptions(random) << '\n';
    std::cout << "resources " << resources(random) << '\n';
    std::cout << "threads " << threads() << '\n';
    std::function<std::string(int)> words = [text = word(random, 200)](int count) { return text.substr(0, static_cast<std::size_t>(count) % text.size()); };
    std::cout << "functions " << sum(words(77)) << '\n';
    return 0;
}
