"""The family that a kernel's name puts it into: names of real recordings, and names that servers publish."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with

# What the real exports ran, by what the name begins with (after its return type) or holds; read off by eye.
REAL = {
    "nccl": ["ncclDevKernel_SendRecv("],
    "attention": ["flash::flash_fwd_kernel<"],
    "gemm": ["sm80_xmma_gemm_f32f32", "nvjet_tst_", "sm80_xmma_fprop_implicit_gemm_", "trt_ampere_h16816gemm_64x64"],
    "norm": ["at::native::<unnamed>::vectorized_layer_norm_kernel<"],
    "copy": [
        "at::native::vectorized_elementwise_kernel<(int)8, at::native::bfloat16_copy_kernel_cuda(",
        "at::native::unrolled_elementwise_kernel<at::native::direct_copy_kernel_cuda(",
        "at::native::elementwise_kernel<(int)128, (int)2, void at::native::gpu_kernel_impl_nocast<at::native::direct_",
        "at::native::elementwise_kernel<(int)128, (int)4, void at::native::gpu_kernel_impl_nocast<at::native::direct_",
        "at::native::<unnamed>::CatArrayBatchedCopy_vectorized<",
        "genericReformat::copyVectorizedKernel<",
        "CUTENSOR_NAMESPACE::permutationKernelPLC3<",
    ],
}
PUBLISHED = {
    "nccl": ["ncclKernel_AllReduce_RING_LL_Sum_half(ncclWorkElem)", "ncclDevKernel_AllGather_RING_LL(ncclDevComm*)"],
    "attention": [
        "void vllm::paged_attention_v2_kernel<unsigned short, unsigned short, 128, 16>(float*)",
        "kernel_unified_attention_2d",
        "_fwd_grouped_kernel_stage1",
        "_fwd_kernel_stage2",
        "triton_tem_fused_flex_attention_0",
        "void flash_fwd_splitkv_kernel<Flash_fwd_kernel_traits<128, 64, 128, 4>>(Flash_fwd_params)",
        "fmha_cutlassF_f16_aligned_64x64_rf_sm80(PyTorchMemEffAttention::AttentionKernel<cutlass::half_t>::Params)",
        "void flashinfer::BatchDecodeWithPagedKVCacheKernel<false, 2u>(flashinfer::BatchDecodeParams)",
        "fmha_v2_flash_attention_bf16_64_128_S_qkv_128_causal_sm90_kernel",
        "void cutlass::device_kernel<flash::FlashAttnFwdSm90<flash::CollectiveMainloopFwdSm90<2>>>(Params)",
    ],
    "gemm": [
        "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_256x128_32x3_tn_align8>(Params)",
        "void cublasLt::splitKreduce_kernel<32, 16, int, __nv_bfloat16>(cublasLt::cublasSplitKParams<float>)",
        "void gemv2T_kernel_val<int, int, __nv_bfloat16, float, 128, 16, 4, 4, false>(cublasGemvParamsEx)",
        "void marlin::Marlin<__half, vllm::kU4B8.id(), 256, 1, 8, 8, 4>(int4 const*)",
        "void gptq::gemm_half_q_half_gptq_4bit_kernel<true, 1>(half const*)",
        "void mul_mat_q<(ggml_type)12, 64, 8, false>(char const*)",
        "fused_moe_kernel",
        "triton_tem_fused_mm_3",
        "bmm_Bfloat16_E2m1E2m1_Fp32_Ab16_Bb16_t128x8x512_s5_et128x8_m128x8x64_c1x1x1_rM_TN_transOut_schPd2x1x2x3_dynB_sm100f",
        "triton_tem_fused_addmm_native_layer_norm_7",
    ],
    "norm": [
        "void vllm::fused_add_rms_norm_kernel<c10::BFloat16, 8>(c10::BFloat16*)",
        "void flashinfer::norm::RMSNormKernel<8u, __nv_bfloat16>(__nv_bfloat16*)",
        "void layer_norm::ln_fwd_kernel<layer_norm::Kernel_traits<float>>(layer_norm::FwdParams)",
    ],
    "quantise": [
        "void vllm::dynamic_per_token_scaled_fp8_quant_kernel<c10::BFloat16>(unsigned char*)",
        "void vllm::awq::dequantize_weights(int*, half*)",
        "void dequantize_block_q4_0<__half>(void const*, __half*)",
        "_per_token_group_quant_fp8",
        "dequantize_int8_kernel",
    ],
    "copy": [
        "void vllm::reshape_and_cache_flash_kernel<unsigned short>(long)",
        "void vllm::concat_and_cache_mla_kernel<__nv_bfloat16, __nv_bfloat16, (vllm::Fp8KVCacheDataType)0>(long)",
        "void flashinfer::AppendPagedKVCacheDecodeKernel<128u, 8u, __half, int>(flashinfer::paged_kv_t<__half, int>)",
    ],
    "other": [
        "triton_red_fused__to_copy_add_mean_mul_pow_rsqrt_0",
        "triton_poi_fused__scaled_dot_product_efficient_attention_clone_eq_masked_fill_13",  # makes ready what it reads
        "triton_red_fused_native_layer_norm_0",
        "void vllm::act_and_mul_kernel<c10::BFloat16>(c10::BFloat16*)",
        "void at::native::<unnamed>::distribution_elementwise_grid_stride_kernel<float, 4, normal_and_transform>()",
        "void vllm::rotary_embedding_kernel<c10::BFloat16, true>(long const*)",
        "void thrust::cuda_cub::core::_kernel_agent<thrust::cuda_cub::__copy_if::CopyIfAgent<int>>()",
        "memset_like_user_kernel",
        "void vllm::cross_device_reduce_1stage<__nv_bfloat16, 2>(vllm::RankData*)",  # waits like NCCL's, unmatched
    ],
}


def families(names: list[str]) -> dict[str, str]:
    given = [{"source_id": 0, "start_ns": 0, "end_ns": 1, "demangled_name": name} for name in names]
    rows = Catalogue(store_with({"kernels": given})).view("kernel_families")
    return dict(zip(rows["name"], rows["family"], strict=True))


@pytest.mark.parametrize("family", PUBLISHED)
def test_published_names(family: str) -> None:
    """Names as servers and libraries publish them; what fuses several things is what it says first."""
    told = families(PUBLISHED[family])
    assert told == dict.fromkeys(PUBLISHED[family], family)


def test_real_names(real: Path) -> None:
    """Every kernel name of the real exports: as read by eye, and other where no family was read."""
    names: set[str] = set()
    for path in sorted((real / "nsys").glob("*.sqlite")):
        con = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        con.text_factory = lambda raw: raw.decode("utf-8", "replace")
        if con.execute("SELECT 1 FROM sqlite_master WHERE name = 'CUPTI_ACTIVITY_KIND_KERNEL'").fetchone():
            found = con.execute(
                "SELECT value FROM StringIds WHERE id IN (SELECT demangledName FROM CUPTI_ACTIVITY_KIND_KERNEL)"
            )
            names |= {name for (name,) in found}
        con.close()
    assert len(names) > 100

    def read_by_eye(name: str) -> str:
        begins = re.sub(r"^void ", "", name)
        return next((f for f, heads in REAL.items() if any(begins.startswith(h) for h in heads)), "other")

    assert families(sorted(names)) == {name: read_by_eye(name) for name in names}
    assert {read_by_eye(name) for name in names} == {*REAL, "other"}


def test_copies_and_fillings() -> None:
    """What is no kernel is a copy, whatever it is called."""
    con = store_with(
        {
            "memcpys": [{"source_id": 0, "start_ns": 0, "end_ns": 1, "direction": "HtoD"}],
            "memsets": [{"source_id": 0, "start_ns": 0, "end_ns": 1}],
        }
    )
    rows = Catalogue(con).view("kernel_families").sort("name")
    assert rows.select("name", "family").rows() == [("memcpy HtoD", "copy"), ("memset", "copy")]
