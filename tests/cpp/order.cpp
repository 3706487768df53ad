// Compares the orders that examples/cpp draws with those of tests/vectors/order.json: `order FILE`.

#define main train_main
#include "../../examples/cpp/train.cpp"
#undef main

int main(int, char** words) try {
    int compared = 0;
    for (const auto& [_, one] : json(contents(words[1])).items) {
        const bool whole = one.items[1].first == "epoch";
        const int64_t samples = one["samples"].whole(), size = whole ? samples : one["batch_size"].whole();
        const int64_t step = whole ? 1 : one["step"].whole(), steps = samples / size;
        const int64_t epoch = whole ? one["epoch"].whole() : (step - 1) / steps;
        const std::vector<uint32_t> order = order_of(std::stoull(one["seed"].text), uint32_t(epoch), samples);
        const Shape wanted = one[whole ? "order" : "indices"].shape();
        const auto first = order.begin() + (step - 1) % steps * size;
        if (!std::equal(wanted.begin(), wanted.end(), first)) throw std::runtime_error("case " + std::to_string(compared));
        ++compared;
    }
    std::printf("%d orders\n", compared);
} catch (const std::exception& error) {
    return std::fprintf(stderr, "error: %s\n", error.what()), 1;
}
