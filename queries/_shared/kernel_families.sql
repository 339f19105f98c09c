-- uses: _shared/nsys_gpu_work
-- One row a name of GPU work and the family that its name puts it into: nccl, copy, attention, gemm, norm, quantise, other.
-- The first rule that holds decides: attention kernels name the GEMMs inside them, GEMMs the types that they dequantise.
-- What Triton fused is other, unless it names a template: its name lists operations, those too whose inputs it only makes
-- ready (an attention's mask). Names are those of PyTorch, cuBLAS, cuDNN, CUTLASS, TensorRT, FlashAttention, FlashInfer,
-- vLLM, SGLang and llama.cpp.
CREATE VIEW kernel_families AS
WITH names AS (
    SELECT DISTINCT work, name, lower(name) AS low FROM nsys_gpu_work
)
SELECT work, name, CASE
    WHEN work = 'copy' OR regexp_matches(low, '(reshape|concat)_and_cache|appendpagedkv') THEN 'copy'
    WHEN starts_with(low, 'nccl') THEN 'nccl'
    WHEN regexp_matches(low, '^triton_.*fused') AND NOT starts_with(low, 'triton_tem_') THEN 'other'
    WHEN regexp_matches(low, 'flash_|flash::|flashattn|flashmla|fmha|attention|attn|mha_|_mha|paged_?kv|ragged_?kv|splitkv|^_fwd_(grouped_)?kernel_stage') THEN 'attention'
    WHEN regexp_matches(low, 'gemm|gemv|matmul|mul_mat|nvjet|splitkreduce|scaled_mm|marlin|fused_moe|^bmm_|^triton_tem_fused_.*mm') THEN 'gemm'
    WHEN regexp_matches(low, '(layer|rms|group|batch|instance)_?norm|norm_?kernel|ln_fwd') THEN 'norm'
    WHEN regexp_matches(low, 'quant|scaled_fp8|fp8_cast|cast_to_fp8') THEN 'quantise'
    WHEN starts_with(low, 'triton_') THEN 'other'
    WHEN regexp_matches(low, 'copy_?kernel|batchedcopy|copyvectorized|transpose_?kernel|permutation_?kernel|reformat') THEN 'copy'
    ELSE 'other' END AS family
FROM names
