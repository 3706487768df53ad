// Trains the model of a package: `train PACKAGE OUTPUT.safetensors [CYCLES [SEED]]`. docs/in-your-app.md says
// what is read and drawn here: pictures of one class each, as they are, at the recipe's batch size and learning rate.

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

namespace fs = std::filesystem;
using Shape = std::vector<int64_t>;
using Values = std::map<std::string, Ort::Value>;

std::string contents(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error(path.string() + " cannot be read");
    return {std::istreambuf_iterator<char>(file), {}};
}

int64_t product(const Shape& all) { return std::accumulate(all.begin(), all.end(), int64_t(1), std::multiplies<>()); }

// JSON as this project writes it.
struct Json {
    std::string text;
    std::vector<std::pair<std::string, Json>> items;  // an array's have no names
    const Json& operator[](const std::string& name) const {
        for (const auto& [own, item] : items)
            if (own == name) return item;
        throw std::runtime_error("JSON without " + name);
    }
    int64_t whole() const { return std::stoll(text); }
    Shape shape() const { Shape all; for (const auto& [_, item] : items) all.push_back(item.whole()); return all; }
};

Json parsed(const char*& at) {
    Json value;
    at += std::strspn(at, " \n,:");
    if (*at == '{' || *at == '[') {
        const bool named = *at++ == '{';
        while (at += std::strspn(at, " \n,"), *at && *at != '}' && *at != ']') {
            std::string name = named ? parsed(at).text : "";
            value.items.emplace_back(std::move(name), parsed(at));
        }
        at += *at != 0;
    } else if (*at == '"') {
        for (++at; *at && *at != '"'; ++at) value.text += *at == '\\' ? *++at : *at;
        at += *at != 0;
    } else {
        value.text.assign(at, std::strcspn(at, " \n,]}"));
        at += value.text.size();
    }
    return value;
}

Json json(const std::string& text) { const char* at = text.c_str(); return parsed(at); }

// The order of an epoch's samples: numpy's default generator, seeded with [seed, epoch], shuffles them.
std::vector<uint32_t> order_of(uint64_t seed, uint32_t epoch, size_t count) {
    using Wide = unsigned __int128;
    constexpr Wide multiplier = Wide(0x2360ed051fc65da4) << 64 | 0x4385df649fccf645;
    const uint32_t words[4] = {uint32_t(seed), seed >> 32 ? uint32_t(seed >> 32) : epoch, seed >> 32 ? epoch : 0, 0};
    uint32_t pool[4], w[8], constant = 0x43b0d7e5;
    const auto hash = [&constant](uint32_t value, uint32_t factor) {
        value ^= constant;
        value *= constant *= factor;
        return value ^ value >> 16;
    };
    for (int i = 0; i < 4; ++i) pool[i] = hash(words[i], 0x931e8875);
    for (const uint32_t& source : pool)
        for (uint32_t& place : pool)
            if (&place != &source) {
                place = 0xca01f9dd * place - 0x4973f715 * hash(source, 0x931e8875);
                place ^= place >> 16;
            }
    constant = 0x8b51f9dd;
    for (int i = 0; i < 8; ++i) w[i] = hash(pool[i % 4], 0x58f38ded);
    const auto wide = [&w](int i) { return Wide(w[i + 1]) << 96 | Wide(w[i]) << 64 | Wide(w[i + 3]) << 32 | w[i + 2]; };
    const Wide increment = wide(4) << 1 | 1;
    Wide state = (increment + wide(0)) * multiplier + increment;
    uint64_t drawn = 0;
    auto next = [&, half = false]() mutable {
        if (!(half = !half)) return uint32_t(drawn >> 32);
        state = state * multiplier + increment;
        const uint64_t high = uint64_t(state >> 64), folded = high ^ uint64_t(state), turn = high >> 58;
        drawn = folded >> turn | folded << (-turn & 63);
        return uint32_t(drawn);
    };
    std::vector<uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    for (uint32_t last = uint32_t(count) - 1, other; last > 0; --last) {
        do other = next() & 0xffffffff >> __builtin_clz(last);
        while (other > last);
        std::swap(order[last], order[other]);
    }
    return order;
}

// The pictures of a split, one after another, and their labels.
struct Split {
    std::vector<uint8_t> pixels;
    std::vector<int64_t> labels;
    Split(const fs::path& folder, const Json& strips, const Shape& picture) {
        const int64_t row = picture[1] * picture[2], stride = (row + 3) / 4 * 4;
        for (const auto& [_, strip] : strips.items) {
            const std::string file = contents(folder / strip["file"].text);
            const auto field = [&file](int place) { int32_t v; return std::memcpy(&v, &file.at(place + 3) - 3, 4), v; };
            const int64_t rows = strip["count"].whole() * picture[0], offset = field(10);
            // A negative height: the first row is the top one, as this project writes them.
            if (field(18) != picture[1] || field(22) != -rows || int64_t(file.size()) < offset + rows * stride)
                throw std::runtime_error(strip["file"].text + " is not what dataset.json says");
            for (int64_t i = 0; i < rows; ++i) {
                pixels.insert(pixels.end(), &file[offset + i * stride], &file[offset + i * stride] + row);
                // Colours are stored blue first.
                for (auto p = pixels.end() - row; row > picture[1] && p < pixels.end(); p += 3) std::swap(p[0], p[2]);
            }
            labels.insert(labels.end(), strip["count"].whole(), strip["label"].whole());
        }
    }
};

template <typename T>
Ort::Value value(T* data, const Shape& shape) {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
    return Ort::Value::CreateTensor<T>(memory, data, product(shape), shape.data(), shape.size());
}

Ort::Session opened(const fs::path& file, int64_t batch) {
    static Ort::Env environment(ORT_LOGGING_LEVEL_ERROR);
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(1);
    Ort::ThrowOnError(Ort::GetApi().AddFreeDimensionOverrideByName(options, "N", batch));
    return Ort::Session(environment, file.c_str(), options);
}

void run(Ort::Session& session, const Values& feeds, const Values& results) {
    Ort::IoBinding binding(session);
    for (const auto& [name, value] : feeds) binding.BindInput(name.c_str(), value);
    for (const auto& [name, value] : results) binding.BindOutput(name.c_str(), value);
    session.Run(Ort::RunOptions(), binding);
}

// The flat vectors of a training by the names of the steps' inputs, and what lies where in them.
struct State {
    struct Tensor { std::string vector, input; Shape shape; int64_t offset; };
    std::map<std::string, std::vector<float>> vectors;
    std::map<std::string, Tensor> tensors;  // by name in a checkpoint

    void add(const Json& places, const std::string& vector, const std::string& input) {
        for (const auto& [_, place] : places.items) {
            const std::string& name = place["name"].text;
            Tensor& tensor = tensors[name] = {vector, input + name, place["shape"].shape(), place["offset"].whole()};
            vectors[vector].resize(tensor.offset + product(tensor.shape));
        }
    }
    void read(const std::string& file) {
        uint64_t length;
        std::memcpy(&length, file.data(), 8);
        const Json header = json(file.substr(8, length));
        for (const auto& [name, tensor] : tensors) {
            const size_t first = 8 + length + header[name]["data_offsets"].shape()[0];
            std::memcpy(&vectors[tensor.vector][tensor.offset], &file.at(first), 4 * product(tensor.shape));
        }
    }
    void write(const fs::path& path) {
        std::string header, numbers;
        for (const auto& [name, tensor] : tensors) {
            std::string sizes;
            for (const int64_t size : tensor.shape) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
            header += (header.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":"F32","shape":[)" + sizes + "]";
            header += R"(,"data_offsets":[)" + std::to_string(numbers.size()) + ",";
            const char* first = reinterpret_cast<const char*>(&vectors[tensor.vector][tensor.offset]);
            header += std::to_string(numbers.append(first, 4 * product(tensor.shape)).size()) + "]}";
        }
        header += "}" + std::string(7 - header.size() % 8, ' ');
        const uint64_t length = header.size();
        std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&length), 8) << header << numbers;
    }
};

int main(int count, char** words) try {
    if (count < 3) throw std::runtime_error("train PACKAGE OUTPUT.safetensors [CYCLES [SEED]]");
    const fs::path folder = fs::path(words[1]) / "model", data = fs::path(words[1]) / "dataset";
    const Json model = json(contents(folder / "model.json")), dataset = json(contents(data / "dataset.json"));
    const Json& recipe = model["recipe"];
    int64_t size = recipe["batch_size"].whole(), cycles = std::stoll(count > 3 ? words[3] : recipe["cycles"].text);
    const uint64_t seed = std::stoull(count > 4 ? words[4] : "1");
    const Shape picture = model["input"]["shape"].shape();
    const Split train(data, dataset["splits"]["train"], picture), test(data, dataset["splits"]["test"], picture);
    if (!model["features"].items.empty() || model["proximal"].text != "false" || int64_t(train.labels.size()) < size)
        throw std::runtime_error("a frozen backbone, a proximal term or less than a batch: not by this program");

    State state;
    state.add(model["parameters"], "parameters", "parameter/");
    state.add(model["buffers"], "buffers", "buffer/");
    for (const auto& [_, name] : model["optimizer"]["states"].items)
        state.vectors[name.text].resize(state.vectors["parameters"].size());
    state.read(contents(folder / (model["name"].text + "_untrained.safetensors")));

    std::vector<uint8_t> pixels;
    std::vector<int64_t> labels;
    const auto batch = [&](const Split& split, const uint32_t* indices, int64_t samples) {
        pixels.clear(), labels.clear();
        for (int64_t i = 0; i < samples; ++i) {
            const uint8_t* first = &split.pixels[indices[i] * product(picture)];
            pixels.insert(pixels.end(), first, first + product(picture));
            labels.push_back(split.labels[indices[i]]);
        }
        Values feeds;
        feeds.emplace("image", value(pixels.data(), {samples, picture[0], picture[1], picture[2]}));
        feeds.emplace("label", value(labels.data(), {samples}));
        return feeds;
    };
    Ort::Session step = opened(folder / "train_step.onnx", size), eval = opened(folder / "eval_step.onnx", 1);
    auto renewed = state.vectors;
    std::vector<uint32_t> order;
    float loss = 0, rate = std::stof(recipe["learning_rate"].text);
    for (int64_t number = 1, steps = int64_t(train.labels.size()) / size; number <= cycles; ++number) {
        const int64_t epoch = (number - 1) / steps, place = (number - 1) % steps;
        if (place == 0) order = order_of(seed, uint32_t(epoch), train.labels.size());
        Values feeds = batch(train, &order[place * size], size), results;
        feeds.emplace("step", value(&number, {}));
        feeds.emplace("learning_rate", value(&rate, {}));
        results.emplace("loss", value(&loss, {}));
        for (auto& [name, vector] : state.vectors) {
            feeds.emplace(name, value(vector.data(), {int64_t(vector.size())}));
            results.emplace(name + "_out", value(renewed[name].data(), {int64_t(vector.size())}));
        }
        run(step, feeds, results);
        std::swap(state.vectors, renewed);
        std::printf("%d: Loss is %.6g\n", int(number), loss);
    }

    std::vector<float> logits(model["target"]["count"].whole());
    int64_t right = 0;
    for (uint32_t i = 0; i < test.labels.size(); ++i) {
        Values feeds = batch(test, &i, 1), results;
        for (const auto& [name, tensor] : state.tensors)
            feeds.emplace(tensor.input, value(&state.vectors[tensor.vector][tensor.offset], tensor.shape));
        results.emplace("logits", value(logits.data(), {1, int64_t(logits.size())}));
        run(eval, feeds, results);
        right += std::max_element(logits.begin(), logits.end()) - logits.begin() == labels[0];
    }
    std::printf("accuracy = %.6g\n", double(right) / double(test.labels.size()));
    state.write(words[2]);
} catch (const std::exception& error) {
    return std::fprintf(stderr, "error: %s\n", error.what()), 1;
}
