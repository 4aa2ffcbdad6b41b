// A library that allocates in its constructors, destructors and thread-local objects.
#include <string>
#include <vector>

static std::vector<std::string> data(100, std::string(50, 'x'));
thread_local std::string words = std::string(100, 'y');

struct Late {
    std::string *text = new std::string(200, 'z');
    ~Late() { delete text; }
} late;

extern "C" std::size_t plugin_size() { return data.size() + words.size() + late.text->size(); }
