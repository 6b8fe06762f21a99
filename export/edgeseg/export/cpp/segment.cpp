// Segments one frame and decides good or reject, with the numbers that edgeseg's runtime would give.
//
//   g++ -O2 -std=c++17 segment.cpp -o segment -ldl
//   ./segment libonnxruntime.so model.onnx golden/000.pgm mask.pgm
//
// Needs the shared library of ONNX Runtime 1.18 or newer, opened when it runs, and none of its headers. A frame is a
// binary PGM (gray) or PPM (RGB); the mask is written as a PGM of class ids, the decision printed as JSON. Exit code 1
// and a sentence on stderr where something is wrong. Files in golden/ show what must come out.

#include <dlfcn.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

// What contract.json says of this variant, written here by `edgeseg unpack --with-code`.
namespace contract {
@CONTRACT@
}  // namespace contract

[[noreturn]] static void fail(const std::string& message) { throw std::runtime_error(message); }

// ---- Frames and masks -----------------------------------------------------------------------------------------------

template <typename T>
struct Image {  // rows of pixels of `channels` values
  int height = 0, width = 0, channels = 1;
  std::vector<T> values;
  Image() = default;
  Image(int h, int w, int c) : height(h), width(w), channels(c), values(size_t(h) * w * c) {}
  T* row(int y) { return values.data() + size_t(y) * width * channels; }
  const T* row(int y) const { return values.data() + size_t(y) * width * channels; }
};
using Pixels = Image<uint8_t>;

static int header_number(std::istream& in) {
  while (in >> std::ws && in.peek() == '#') in.ignore(1 << 20, '\n');
  int value = 0;
  in >> value;
  return value;
}

static Image<uint16_t> read_frame(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail(path + ": cannot be read");
  char kind[2] = {};
  in.read(kind, 2);
  const bool known = kind[0] == 'P' && (kind[1] == '5' || kind[1] == '6');
  const int width = known ? header_number(in) : 0, height = known ? header_number(in) : 0;
  const int highest = known ? header_number(in) : 0;
  in.get();
  const int expected = contract::kWindow ? 65535 : 255;
  if (!in || width < 1 || height < 1 || width > 65536 || height > 65536 || highest != expected)
    fail(path + ": expected a binary PGM or PPM with values up to " + std::to_string(expected));
  const int channels = kind[1] == '6' ? 3 : 1, bytes = highest > 255 ? 2 : 1;
  const int64_t size = int64_t(height) * width * channels * bytes, begin = in.tellg();
  in.seekg(0, std::ios::end);  // no memory for a size that only the header believes in
  if (!in || in.tellg() - begin < size) fail(path + ": ends before its last pixel");
  in.seekg(begin);
  std::vector<uint8_t> raw(size);
  in.read(reinterpret_cast<char*>(raw.data()), std::streamsize(size));
  if (!in) fail(path + ": cannot be read");
  Image<uint16_t> frame(height, width, channels);
  for (size_t i = 0; i < frame.values.size(); ++i)
    frame.values[i] = bytes == 1 ? raw[i] : uint16_t(raw[2 * i] << 8 | raw[2 * i + 1]);
  return frame;
}

static void write_mask(const std::string& path, const Pixels& mask) {
  std::ofstream out(path, std::ios::binary);
  out << "P5\n" << mask.width << ' ' << mask.height << "\n255\n";
  out.write(reinterpret_cast<const char*>(mask.values.data()), std::streamsize(mask.values.size()));
  if (!out.flush()) fail(path + ": cannot be written");
}

// ---- From a frame to the network's input ----------------------------------------------------------------------------

// Luma (ITU-R BT.601) in the 15-bit integers that the training's reader uses, or gray repeated.
static Image<uint16_t> to_color(const Image<uint16_t>& frame) {
  if (frame.channels == contract::kChannels) return frame;
  if (contract::kWindow && frame.channels == 3) fail("a 16-bit frame must be gray for this model");
  Image<uint16_t> image(frame.height, frame.width, contract::kChannels);
  for (size_t i = 0; i < size_t(frame.height) * frame.width; ++i) {
    if (contract::kChannels == 3) {
      for (int c = 0; c < 3; ++c) image.values[3 * i + c] = frame.values[i];
    } else {
      const uint16_t* rgb = &frame.values[3 * i];
      image.values[i] = uint16_t((9798 * rgb[0] + 19235 * rgb[1] + 3735 * rgb[2] + (1 << 14)) >> 15);
    }
  }
  return image;
}

// floor(255 (v - lo) / (hi - lo) + 0.5), clipped: 16-bit values to the 8 bits of the training.
static Pixels to_bytes(const Image<uint16_t>& frame) {
  Pixels image(frame.height, frame.width, frame.channels);
  const int64_t lo = contract::kWindowLo, span = contract::kWindowHi - lo;
  for (size_t i = 0; i < frame.values.size(); ++i) {
    const int64_t v = std::min(std::max<int64_t>(frame.values[i], lo), lo + span);
    image.values[i] = contract::kWindow ? uint8_t((510 * (v - lo) + span) / (2 * span)) : uint8_t(frame.values[i]);
  }
  return image;
}

struct Tap {  // two neighbours along a side and the weight of the second, for scores in float and for bytes in 1/256
  int first, second;
  float weight;
  int share;
};

static std::vector<Tap> linear_taps(int from, int to) {
  std::vector<Tap> taps(to);
  for (int i = 0; i < to; ++i) {
    float at = float((i + 0.5) * (double(from) / to) - 0.5);  // pixel centres are at half-integers
    int first = int(std::floor(at));
    float weight = at - float(first);
    const double exact = (i + 0.5) * (1.0 / (double(to) / from)) - 0.5;
    int share = int(std::lrint((exact - std::floor(exact)) * 256.0));
    if (first < 0) first = 0, weight = 0, share = 0;
    if (first >= from - 1) first = from - 1, weight = 0, share = 0;
    taps[i] = {first, std::min(first + 1, from - 1), weight, share};
  }
  return taps;
}

// Bytes are blended in whole numbers, as OpenCV's INTER_LINEAR_EXACT does, so that equal bytes come out.
inline uint8_t blend(const uint8_t* top, const uint8_t* bottom, const Tap& x, const Tap& y, int step) {
  const uint32_t upper = top[x.first * step] * (256 - x.share) + top[x.second * step] * x.share;
  const uint32_t lower = bottom[x.first * step] * (256 - x.share) + bottom[x.second * step] * x.share;
  return uint8_t((upper * (256 - y.share) + lower * y.share + (1u << 15)) >> 16);
}

inline float blend(const float* top, const float* bottom, const Tap& x, const Tap& y, int step) {
  const float upper = top[x.first * step] * (1.0f - x.weight) + top[x.second * step] * x.weight;
  const float lower = bottom[x.first * step] * (1.0f - x.weight) + bottom[x.second * step] * x.weight;
  return upper * (1.0f - y.weight) + lower * y.weight;
}

inline uint8_t mean(uint8_t a, uint8_t b, uint8_t c, uint8_t d) { return uint8_t((a + b + c + d + 2) >> 2); }
inline float mean(float a, float b, float c, float d) { return (a + b + c + d) * 0.25f; }

template <typename T>
static Image<T> halve(const Image<T>& image) {
  const int c = image.channels;
  Image<T> half(image.height / 2, image.width / 2, c);
  for (int y = 0; y < half.height; ++y)
    for (int i = 0; i < half.width * c; ++i) {
      const T* top = image.row(2 * y) + i / c * 2 * c + i % c;
      const T* bottom = top + size_t(image.width) * c;
      half.row(y)[i] = mean(top[0], top[c], bottom[0], bottom[c]);
    }
  return half;
}

template <typename T>
static Image<T> resize_linear(const Image<T>& image, int height, int width) {
  if (image.height == height && image.width == width) return image;
  if (image.height == 2 * height && image.width == 2 * width) return halve(image);
  Image<T> large(height, width, image.channels);
  const std::vector<Tap> across = linear_taps(image.width, width), down = linear_taps(image.height, height);
  for (int y = 0; y < height; ++y) {
    const T *top = image.row(down[y].first), *bottom = image.row(down[y].second);
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < image.channels; ++c)
        large.row(y)[x * image.channels + c] = blend(top + c, bottom + c, across[x], down[y], image.channels);
  }
  return large;
}

struct Share {  // how much of a source pixel a target pixel covers
  int from, to;
  float weight;
};

static std::vector<Share> area_shares(int from, int to) {
  std::vector<Share> shares;
  const double scale = double(from) / to;
  for (int i = 0; i < to; ++i) {
    const double begin = i * scale, end = std::min(begin + scale, double(from));
    for (int k = int(begin); k < end; ++k) {
      const double covered = std::min(end, k + 1.0) - std::max(begin, double(k));
      if (covered > 1e-3) shares.push_back({k, i, float(covered / std::min(scale, from - begin))});
    }
  }
  return shares;
}

static Pixels resize_area(const Pixels& image, int height, int width) {
  if (image.height == height && image.width == width) return image;
  if (image.height < height || image.width < width)
    fail("the frame is smaller than the network's input, which this file does not enlarge; give larger frames");
  if (image.height == 2 * height && image.width == 2 * width) return halve(image);
  const int c = image.channels;
  Image<float> narrow(image.height, width, c), small(height, width, c);
  for (const Share& one : area_shares(image.width, width))
    for (int y = 0; y < image.height; ++y)
      for (int k = 0; k < c; ++k) narrow.row(y)[one.to * c + k] += image.row(y)[one.from * c + k] * one.weight;
  for (const Share& one : area_shares(image.height, height))
    for (int x = 0; x < width * c; ++x) small.row(one.to)[x] += narrow.row(one.from)[x] * one.weight;
  Pixels result(height, width, c);
  for (size_t i = 0; i < result.values.size(); ++i)
    result.values[i] = uint8_t(std::min(255L, std::lrint(small.values[i])));
  return result;
}

// Halves each side while it is at least twice as long as wanted, an odd one to the whole number below; linear after that.
static Pixels resize_halving(const Pixels& image, int height, int width) {
  const int down = image.height >= 2 * height ? 2 : 1, across = image.width >= 2 * width ? 2 : 1;
  if (down == 1 && across == 1) return resize_linear(image, height, width);
  return resize_halving(resize_linear(image, image.height / down, image.width / across), height, width);
}

static int round_up(int value) { return (value + contract::kStride - 1) / contract::kStride * contract::kStride; }

// Which pixel stands behind the edge: reflected, the edge itself not repeated; repeated where a side is too short.
static int behind(int at, int size, int padded) {
  if (at < size) return at;
  return padded - size < size ? 2 * size - 2 - at : size - 1;
}

static Pixels pad(const Pixels& image) {
  Pixels padded(round_up(image.height), round_up(image.width), image.channels);
  for (int y = 0; y < padded.height; ++y)
    for (int x = 0; x < padded.width; ++x)
      std::memcpy(padded.row(y) + x * image.channels,
                  image.row(behind(y, image.height, padded.height)) +
                      behind(x, image.width, padded.width) * image.channels,
                  size_t(image.channels));
  return padded;
}

static Pixels to_content(const Pixels& frame) {
  const int height = contract::kHeight, width = contract::kWidth;
  if (contract::kResize && contract::kArea) return resize_area(frame, height, width);
  if (contract::kResize && contract::kHalving) return resize_halving(frame, height, width);
  if (contract::kResize) return resize_linear(frame, height, width);
  if (height && (frame.height != height || frame.width != width))
    fail("the model takes frames of " + std::to_string(width) + "x" + std::to_string(height) + " px, found " +
         std::to_string(frame.width) + "x" + std::to_string(frame.height));
  return frame;
}

// ---- ONNX Runtime ---------------------------------------------------------------------------------------------------

// The functions used here at their places in the library's table. The order of that table is its promise: functions
// are only ever added at its end. `#include <onnxruntime_c_api.h>` declares the same and can stand here instead.
struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtMemoryInfo;
struct OrtAllocator;
struct OrtValue;
struct OrtTensorTypeAndShapeInfo;
struct OrtApi {
  void* before_2[2];
  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateEnv)(int log_level, const char* name, OrtEnv**);
  void* before_7[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession**);
  void* before_9[1];
  OrtStatus* (*Run)(OrtSession*, const void* options, const char* const* input_names, const OrtValue* const* inputs,
                    size_t n_inputs, const char* const* output_names, size_t n_outputs, OrtValue** outputs);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);
  void* before_36[25];
  OrtStatus* (*SessionGetInputName)(const OrtSession*, size_t index, OrtAllocator*, char**);
  OrtStatus* (*SessionGetOutputName)(const OrtSession*, size_t index, OrtAllocator*, char**);
  void* before_49[11];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, size_t bytes, const int64_t* shape,
                                               size_t n_axes, int type, OrtValue**);
  void* before_51[1];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);
  void* before_60[8];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, int*);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t);
  void* before_65[2];
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);
  void* before_69[3];
  OrtStatus* (*CreateCpuMemoryInfo)(int allocator, int memory, OrtMemoryInfo**);
  void* before_78[8];
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);
  void* before_130[51];
  OrtStatus* (*AddSessionConfigEntry)(OrtSessionOptions*, const char* key, const char* value);
};
struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};
static_assert(offsetof(OrtApi, AddSessionConfigEntry) == 130 * sizeof(void*), "a function is out of its place");

constexpr int kFloat = 1, kUint8 = 2, kInt8 = 3;  // element types

// A session that lives as long as the program: the system takes its memory back.
class Network {
 public:
  Network(const std::string& library, const std::string& model) {
    void* opened = dlopen(library.c_str(), RTLD_NOW);
    if (!opened) fail(dlerror());
    auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(opened, "OrtGetApiBase"));
    ort_ = base ? base()->GetApi(18) : nullptr;
    if (!ort_) fail(library + " is no ONNX Runtime 1.18 or newer");
    OrtEnv* environment = nullptr;
    OrtSessionOptions* options = nullptr;
    check(ort_->CreateEnv(3, "segment", &environment));
    check(ort_->CreateSessionOptions(&options));
    // Else the 16-bit sums of unsigned times signed bytes saturate on x86 processors without VNNI.
    check(ort_->AddSessionConfigEntry(options, "session.x64quantprecision", "1"));
    check(ort_->CreateSession(environment, model.c_str(), options, &session_));
    OrtAllocator* allocator = nullptr;
    check(ort_->GetAllocatorWithDefaultOptions(&allocator));
    check(ort_->SessionGetInputName(session_, 0, allocator, &input_));
    check(ort_->SessionGetOutputName(session_, 0, allocator, &output_));
    check(ort_->CreateCpuMemoryInfo(0, 0, &memory_));
  }

  // Scores of (1, H, W, C) pixels, plane by plane at the network's own resolution.
  template <typename T>
  std::vector<Image<T>> run(Pixels& tensor) {
    const int64_t shape[4] = {1, tensor.height, tensor.width, tensor.channels};
    OrtValue *input = nullptr, *output = nullptr;
    if (contract::kInputInt8)
      for (uint8_t& value : tensor.values) value ^= 0x80;
    check(ort_->CreateTensorWithDataAsOrtValue(memory_, tensor.values.data(), tensor.values.size(), shape, 4,
                                               contract::kInputInt8 ? kInt8 : kUint8, &input));
    check(ort_->Run(session_, nullptr, &input_, &input, 1, &output_, 1, &output));
    return planes<T>(output, tensor.height / contract::kOutputStride, tensor.width / contract::kOutputStride);
  }

 private:
  void check(OrtStatus* status) {
    if (status) fail(std::string("ONNX Runtime: ") + ort_->GetErrorMessage(status));
  }

  template <typename T>
  std::vector<Image<T>> planes(OrtValue* output, int height, int width) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    size_t n_axes = 0;
    int type = 0;
    check(ort_->GetTensorTypeAndShape(output, &info));
    check(ort_->GetDimensionsCount(info, &n_axes));
    check(ort_->GetTensorElementType(info, &type));
    std::vector<int64_t> found(n_axes);
    check(ort_->GetDimensions(info, found.data(), n_axes));
    const std::vector<int64_t> first = {1, contract::kPlanes, height, width};
    const std::vector<int64_t> last = {1, height, width, contract::kPlanes};
    if (type != contract::kOutputType || found != (contract::kPlanesFirst ? first : last))
      fail("the model's output is not what contract.json says; unpack both again");
    void* data = nullptr;
    check(ort_->GetTensorMutableData(output, &data));
    const T* values = static_cast<const T*>(data);
    std::vector<Image<T>> result(contract::kPlanes, Image<T>(height, width, 1));
    const size_t area = size_t(height) * width;
    if constexpr (std::is_floating_point_v<T>)  // comparisons with NaN are false: it would read as background
      for (size_t i = 0; i < area * result.size(); ++i)
        if (!std::isfinite(values[i]))
          fail("the model returned NaN or infinity, as FP16 does that overflows; nothing is known of this frame");
    for (size_t k = 0; k < result.size(); ++k)
      for (size_t i = 0; i < area; ++i)
        result[k].values[i] = contract::kPlanesFirst ? values[k * area + i] : values[i * result.size() + k];
    return result;
  }

  const OrtApi* ort_ = nullptr;
  OrtSession* session_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
  char *input_ = nullptr, *output_ = nullptr;
};

// ---- From scores to a mask and a decision ---------------------------------------------------------------------------

template <typename T>
static Image<T> crop(const Image<T>& image, int height, int width) {
  Image<T> part(height, width, image.channels);
  for (int y = 0; y < height; ++y) std::copy_n(image.row(y), size_t(width) * image.channels, part.row(y));
  return part;
}

// Scores are enlarged plane by plane and only then compared; what belongs to the padding is cut away.
template <typename T>
static Image<T> enlarge(const Image<T>& plane, const Pixels& content, const Pixels& frame) {
  const int stride = contract::kOutputStride;
  const int rows = (content.height + stride - 1) / stride, columns = (content.width + stride - 1) / stride;
  const Image<T> cells = crop(plane, rows, columns);
  if (content.height % stride == 0 && content.width % stride == 0)
    return resize_linear(cells, frame.height, frame.width);
  const Image<T> large = resize_linear(cells, rows * stride, columns * stride);
  return resize_linear(crop(large, content.height, content.width), frame.height, frame.width);
}

static double limit() {  // the probability as a score of the file
  const double logit = std::log(contract::kProbability / (1.0 - contract::kProbability));
  if (contract::kOutputType == kFloat) return double(float(logit));
  return std::floor(logit / contract::kScale + contract::kZeroPoint + (contract::kOutputType == kInt8 ? 128 : 0));
}

template <typename T>
static Pixels to_mask(std::vector<Image<T>> planes, const Pixels& content, const Pixels& frame) {
  Pixels mask(frame.height, frame.width, 1);
  if (contract::kOutputType == kInt8)  // as bytes of the same order
    for (Image<T>& plane : planes)
      for (T& value : plane.values) value = T(uint8_t(value) ^ 0x80);
  Image<T> best = enlarge(planes[0], content, frame);
  if (contract::kSigmoid) {
    const double least = limit();
    for (size_t i = 0; i < mask.values.size(); ++i) mask.values[i] = double(best.values[i]) > least;
    return mask;
  }
  for (size_t k = 1; k < planes.size(); ++k) {
    const Image<T> plane = enlarge(planes[k], content, frame);
    for (size_t i = 0; i < mask.values.size(); ++i)
      if (plane.values[i] > best.values[i]) best.values[i] = plane.values[i], mask.values[i] = uint8_t(k);
  }
  return mask;
}

struct Region {
  int class_id;
  long area_px;
};

// The 8-connected pieces of each class that are large enough to reject a part, the largest first.
static std::vector<Region> reasons(Pixels mask) {
  std::vector<Region> found;
  std::vector<std::pair<int, int>> open;
  for (int y = 0; y < mask.height; ++y)
    for (int x = 0; x < mask.width; ++x) {
      const uint8_t id = mask.row(y)[x];
      if (id == 0) continue;
      long area = 0;
      mask.row(y)[x] = 0;
      open.assign(1, {y, x});
      while (!open.empty()) {
        const auto [cy, cx] = open.back();
        open.pop_back();
        ++area;
        for (int ny = std::max(cy - 1, 0); ny <= std::min(cy + 1, mask.height - 1); ++ny)
          for (int nx = std::max(cx - 1, 0); nx <= std::min(cx + 1, mask.width - 1); ++nx)
            if (mask.row(ny)[nx] == id) mask.row(ny)[nx] = 0, open.push_back({ny, nx});
      }
      if (area >= contract::kMinAreaPx) found.push_back({id, area});
    }
  std::stable_sort(found.begin(), found.end(), [](const Region& a, const Region& b) { return a.area_px > b.area_px; });
  return found;
}

static void print_decision(const std::vector<Region>& found) {
  std::printf("{\"decision\": \"%s\", \"reasons\": [", found.empty() ? "good" : "reject");
  for (size_t i = 0; i < found.size(); ++i)
    std::printf("%s{\"class_id\": %d, \"area_px\": %ld}", i ? ", " : "", found[i].class_id, found[i].area_px);
  std::printf("]}\n");
}

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s LIBONNXRUNTIME MODEL FRAME MASK\n", argv[0]);
    return 2;
  }
  try {
    Network network(argv[1], argv[2]);
    const Pixels frame = to_bytes(to_color(read_frame(argv[3])));
    const Pixels content = to_content(frame);
    Pixels tensor = pad(content);
    using Score = contract::Score;
    const Pixels mask = to_mask(network.run<Score>(tensor), content, frame);
    write_mask(argv[4], mask);
    print_decision(reasons(mask));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}
