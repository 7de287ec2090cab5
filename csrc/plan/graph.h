// The tape: ops on values with static shapes, in the order they were recorded.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/shape.h"
#include "core/types.h"
#include "core/variable.h"
#include "plan/attrs.h"

namespace weft {

struct OpDef;
using ValueId = int;
constexpr ValueId kNoValue = -1;

struct Value {
  enum class Source : uint8_t { kNode, kInput, kVariable, kConstant };

  Shape shape;
  DType dtype = DType::kFloat32;
  Source source = Source::kNode;
  Layout layout = Layout::kRows;       // of a node's value; a variable has its own
  int producer = -1;                   // kNode: the node
  int input_index = -1;                // kInput
  std::shared_ptr<Variable> variable;  // kVariable
  std::vector<float> constant;         // kConstant: bit patterns of 4-byte elements, contiguous
  std::string name;                    // of an input

  // The one number that every element of a float constant has.
  std::optional<float> uniform() const;
};

struct Node {
  const OpDef* op = nullptr;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  Attrs attrs;
  std::string layer;  // for error messages and describe_plan
  int order = 0;      // place on the tape: decides which reads of a variable come before a write
  bool removed = false;
};

class Graph {
 public:
  ValueId input(Shape shape, DType dtype, std::string name);
  ValueId variable(std::shared_ptr<Variable> variable);
  ValueId constant(Shape shape, DType dtype, std::vector<float> contiguous);
  ValueId scalar(float value) { return constant({}, DType::kFloat32, {value}); }

  // Checks the shapes, then records; returns the first output or kNoValue.
  ValueId record(const std::string& kind, std::vector<ValueId> inputs, Attrs attrs = {}, std::string layer = "");
  ValueId record(const OpDef& op, std::vector<ValueId> inputs, Attrs attrs = {}, std::string layer = "");

  // Records the backward ops of a scalar; kNoValue for values it does not depend on.
  std::vector<ValueId> gradients(ValueId loss, const std::vector<ValueId>& wanted);

  const Value& value(ValueId id) const { return values.at(id); }
  const Shape& shape(ValueId id) const { return values.at(id).shape; }
  const Node* producer(ValueId id) const {
    const int node = values.at(id).producer;
    return node < 0 ? nullptr : &nodes[node];
  }

  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
};

}  // namespace weft
