"""The text of every error: reason word -> what is wrong, where, and how to mend it.

The word travels as `penstock-reason` (header or trailing metadata) and is stable; the text may improve.
"""

from __future__ import annotations

from typing import Final

REASONS: Final[dict[str, str]] = {
    # -- finding the model (404) --
    "model_not_found": "model '{model}' is not known; GET /v2/models lists the models there are",
    "version_not_found": "model '{model}' has no version '{version}'; known: {known}",
    "path_not_found": "there is nothing at '{path}'",
    "resource_not_found": "{kind} '{name}' does not exist",
    "snapshot_not_found": "there is no snapshot {revision}; the newest is {newest}",
    # -- the shape of the request (400) --
    "name_invalid": "'{name}' is not a name: letters, digits, '.', '_' and '-', starting with a letter or digit, at most 128, no '..'",
    "json_invalid": "the body is not valid JSON: {problem}",
    "json_duplicate_key": "the key '{key}' stands twice in one object; servers disagree on which one counts",
    "json_too_deep": "the JSON is nested deeper than {limit} levels",
    "field_type": "'{field}' must be {expected}, not {found}",
    "field_missing": "'{field}' is missing in {where}",
    "too_many": "{count} {what} are more than the {limit} allowed",
    "too_long": "{what} is {size} bytes long; at most {limit} are allowed",
    "parameter_invalid": "parameter '{name}' must be {expected}",
    "parameter_reserved": "parameter '{name}' is reserved and cannot be set by a caller",
    "header_invalid": "header '{name}' must be {expected}",
    "framing_invalid": "the HTTP message is malformed: {problem}",
    "compression_invalid": "the {coding} body cannot be decompressed: {problem}",
    "protobuf_invalid": "the message is not a valid {message}",
    # -- the tensors (400) --
    "input_missing": "input '{tensor}' is missing; the model needs {needed}",
    "input_unknown": "the model has no input '{tensor}'; it has {known}",
    "input_duplicate": "input '{tensor}' is given twice",
    "inputs_empty": "'inputs' must list at least one tensor",
    "output_unknown": "the model has no output '{tensor}'; it has {known}",
    "output_duplicate": "output '{tensor}' is requested twice",
    "datatype_unknown": "tensor '{tensor}': '{datatype}' is not a datatype; there are {known}",
    "datatype_mismatch": "tensor '{tensor}': the model takes {expected}, not {found}",
    "shape_invalid": "tensor '{tensor}': shape entries must be whole numbers from 0 up, not {found}",
    "shape_mismatch": "tensor '{tensor}': the model takes shape {expected}, not {found}",
    "shape_too_large": "tensor '{tensor}': shape {shape} holds more than {limit} elements",
    "rank_too_large": "tensor '{tensor}': {rank} dimensions are more than the {limit} allowed",
    "batch_too_large": "tensor '{tensor}': a batch of {batch} is more than the {limit} the model takes",
    "element_count": "tensor '{tensor}': shape {shape} needs {expected} elements, but {found} are given",
    "data_nesting": "tensor '{tensor}': 'data' must be flat, or nested exactly as shape {shape}",
    "data_not_list": "tensor '{tensor}': 'data' must be an array, also for a single element",
    "data_missing": "tensor '{tensor}': exactly one of 'data' and 'binary_data_size' must be given",
    "element_invalid": "tensor '{tensor}': {found} is not a {datatype} element (index {index})",
    "element_range": "tensor '{tensor}': {found} does not fit {datatype} (index {index})",
    "bytes_malformed": "tensor '{tensor}': the length prefixes of the BYTES elements do not match the data",
    "bytes_not_text": "tensor '{tensor}': the model takes text, and element {index} is not UTF-8",
    "base64_invalid": "tensor '{tensor}': element {index} is not base64 (standard alphabet, padded)",
    "tensor_name": "a tensor's name must be 1 to {limit} bytes long, not '{tensor}'",
    "element_inexact": "tensor '{tensor}': {found} is beyond 2^53; write it in plain digits (index {index})",
    "binary_size": "tensor '{tensor}': binary_data_size is {found}, but shape and datatype need {expected}",
    "binary_leftover": "the binary part holds {found} bytes, but the tensors announce {expected}",
    "binary_header": "Inference-Header-Content-Length must be a number from 0 to the body's {size} bytes",
    "raw_request": "a raw request needs a model with exactly one input and at most one variable dimension",
    "raw_count": "{found} raw buffers are given for {expected} inputs",
    "raw_and_typed": "raw_input_contents and typed contents exclude each other",
    "contents_wrong_field": "tensor '{tensor}': {datatype} elements belong in {expected}",
    "classification_invalid": "output '{tensor}': classification {problem}",
    # -- sizes (413, 414, 431) --
    "body_too_large": "the body is larger than the {limit} bytes allowed",
    "chunks_too_many": "the body comes in more than {limit} chunks",
    "uri_too_long": "the request line is longer than {limit} bytes",
    "headers_too_large": "the headers are larger than {limit} bytes or more than {count}",
    # -- methods and codings --
    "method_not_allowed": "{method} is not offered on this path; allowed: {allowed}",
    "encoding_unsupported": "Content-Encoding '{coding}' is not decoded here; use gzip, deflate or identity",
    # -- time --
    "request_too_slow": "the {part} arrived too slowly",
    "deadline_exceeded": "the deadline of {timeout_ms} ms passed",
    # -- readiness (503) --
    "model_not_ready": "model '{model}' is not ready",
    "required_not_ready": "a model that is marked as required is not ready",
    "no_endpoint": "no endpoint of model '{model}' is healthy",
    "draining": "the server is shutting down",
    "not_loaded_yet": "the server has not loaded its configuration yet",
    "overloaded": "more than {limit} requests are in flight for model '{model}'",
    "backend_unreachable": "the backend of model '{model}' cannot be reached",
    "backend_unavailable": "the backend of model '{model}' is unavailable",
    "store_unavailable": "the registry's database cannot be reached; nothing was changed",
    # -- the backend's answer (502, 500, 501) --
    "backend_answer": "the backend's answer for model '{model}' is unusable: {problem}",
    "backend_refused": "the backend of model '{model}' refused the request as invalid",
    "model_failed": "model '{model}' failed to execute",
    "internal": "internal error; the log has the details under incident {incident}",
    "extension_unsupported": "{extension} is not offered here",
    "rpc_unimplemented": "{rpc} is not offered here",
    # -- the registry (400, 409) --
    "manifest_invalid": "{where}: {problem}",
    "revision_conflict": "{kind} '{name}' is at revision {found}, not {expected}: somebody changed it first; read it again and repeat your change",
    "reference_missing": "{kind} '{name}': {field} refers to {target}, which does not exist",
    "reference_in_use": "{kind} '{name}' is still used by {users}",
    "request_invalid": "wrong fields in the request: {count}; 'problems' lists each with what to do",
    "content_type_unsupported": "the Content-Type must be application/json, not '{found}'",
    # -- access --
    "host_not_allowed": "the host '{host}' is not served here",
    "origin_not_allowed": "pages of '{origin}' may not call this API",
    "unauthenticated": "credentials are missing or wrong",
    "permission_denied": "this credential may not {action} {target}",
    "rate_limited": "too many requests; try again in {retry_after_s} s",
    "cancelled": "the client went away",
}
