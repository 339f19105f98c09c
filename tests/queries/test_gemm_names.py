"""What a GEMM kernel's name tells of its tactic: names of real recordings, read by eye, and published ones."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from postmortem.catalogue.catalogue import Catalogue
from tests.queries.test_every_query import store_with

Told = tuple[int | None, int | None, int | None, int | None, str | None, bool, bool]

# tile m, n, k; stages; type of the inputs; split-K; sums slices
PUBLISHED: dict[str, Told] = {
    "void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_256x128_32x3_tn_align8>(T1::Params)": (
        256, 128, 32, 3, "bf16", False, False),
    "void cutlass::Kernel2<cutlass_80_tensorop_s16816gemm_bf16_64x64_64x6_tn_align8>(T1::Params)": (
        64, 64, 64, 6, "bf16", False, False),
    "void cutlass::Kernel2<cutlass_80_wmma_tensorop_bf16_s161616gemm_bf16_32x32_128x2_nn_align8>(T1::Params)": (
        32, 32, 128, 2, "bf16", False, False),
    "void cutlass::Kernel2<cutlass_75_tensorop_f16_s1688gemm_f16_256x128_nn_align1>(Params)": (
        256, 128, None, None, "fp16", False, False),
    "void cutlass::Kernel2<cutlass_80_tensorop_s1688gemm_64x128_32x6_tn_align4>(Params)": (
        64, 128, 32, 6, "tf32", False, False),
    "void cutlass::Kernel2<cutlass_80_simt_sgemm_64x64_8x5_tn_align1>(Params)": (64, 64, 8, 5, "fp32", False, False),
    "void cutlass::Kernel2<cutlass_80_tensorop_i16832gemm_s8_128x64_64x4_tn_align16>(Params)": (
        128, 64, 64, 4, "int8", False, False),
    "cutlass3x_sm90_tensorop_s64x128x16gemm_bf16_bf16_f32_bf16_bf16_128x128x64_2x1x1_0_ntn_align8_warpspecialized": (
        128, 128, 64, None, "bf16", False, False),
    "cutlass3x_sm90_tensorop_s64x128x32gemm_e4m3_e4m3_f32_bf16_bf16_64x128x128_2x1x1_0_tnt_align16_stream_k": (
        64, 128, 128, None, "fp8", True, False),
    "cutlass3x_sm100_tensorop_s128x64x8tf32gemm_f32_f32_f32_f32_f32_128x64x32_0_tnn_align4_2sm_": (
        128, 64, 32, None, "tf32", False, False),
    "cutlass3x_sm100_simt_sgemm_f32_f32_f32_f32_f32_64x32x16_1x1x1_3_tnn_align1_bias_f32_relu": (
        64, 32, 16, 3, "fp32", False, False),
    "ampere_fp16_s16816gemm_fp16_64x64_ldg8_f2f_stages_64x6_tn": (64, 64, 64, 6, "fp16", False, False),
    "ampere_bf16_s16816gemm_bf16_64x64_sliced1x2_ldg8_f2f_stages_64x5_nn": (64, 64, 64, 5, "bf16", False, False),
    "turing_fp16_s1688gemm_fp16_128x128_ldg8_f2f_stages_32x1_nn": (128, 128, 32, 1, "fp16", False, False),
    "volta_h884gemm_64x64_ldg8_nn": (64, 64, None, None, "fp16", False, False),
    "ampere_sgemm_64x32_sliced1x4_tn": (64, 32, None, None, "fp32", False, False),
    "sm80_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize32x32x64_stage6_warpsize2x2x1_tensor16x8x16_execute_kernel": (
        32, 32, 64, 6, "fp16", False, False),
    "sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize64x64x64_stage4_execute_split_k_kernel__5x_cublas": (
        64, 64, 64, 4, "bf16", True, False),
    "sm89_xmma_gemm_e4m3bf16_e4m3f32_f32_tn_n_tilesize128x128x64_stage3_warpsize2x2x1_tensor16x8x32_kernel": (
        128, 128, 64, 3, "fp8", False, False),
    "sm80_xmma_gemm_f32f32_tf32f32_f32_nn_n_tilesize64x64x16_stage6_warpsize2x2x1_tensor16x8x8_kernel": (
        64, 64, 16, 6, "tf32", False, False),
    "sm90_xmma_gemm_f16f16_f16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_execute_segment_k_off_kernel": (
        128, 128, 64, None, "fp16", False, False),
    "nvjet_hsh_256x128_64x4_1x2_h_bz_coopA_NNT": (256, 128, 64, 4, "fp16", False, False),
    "nvjet_sm100_tst_64x8_64x16_4x1_v_bz_splitK_TNT": (64, 8, 64, 16, "bf16", True, False),
    "nvjet_qqtst_128x256_128x6_2x1_2cta_v_bz_TNT": (128, 256, 128, 6, "fp8", False, False),
    "void cublasLt::splitKreduce_kernel<32, 16, int, float, __nv_bfloat16>(cublasSplitKParams<float>)": (
        None, None, None, None, None, True, True),
    "void gemv2T_kernel_val<int, int, __nv_bfloat16, __nv_bfloat16, float, 128, 16, 4, 4, false>(Params)": (
        None, None, None, None, "bf16", False, False),
    "std::enable_if<!T7, void>::type internal::gemvx::kernel<int, int, __nv_bfloat16, float, (bool)0>(T1)": (
        None, None, None, None, "bf16", False, False),
    "std::enable_if<!(false), void>::type internal::gemvx::kernel<int, int, __half, __half, float, false, 7>(Params)": (
        None, None, None, None, "fp16", False, False),
    "void gemmSN_TN_kernel<float, 128, 16, 2, 4, 8, 9, false>(Params)": (None, None, None, None, "fp32", False, False),
    "void marlin::Marlin<__half, vllm::kU4B8.id(), 256, 1, 8, 8, 4>(int4 const*)": (
        None, None, None, None, None, False, False),
    "triton_tem_fused_mm_3": (None, None, None, None, None, False, False),
}  # fmt: skip

# All GEMM kernels of the real exports, by what their names end with after the types.
XMMA32 = "sm80_xmma_gemm_f32f32_f32f32_f32_"
CONV = "sm80_xmma_fprop_implicit_gemm_"
REAL: dict[str, Told] = {
    XMMA32 + "tn_n_tilesize64x256x8_stage3_warpsize1x4x1_ffma_aligna4_alignc4_execute_kernel__5x_cublas": (
        64, 256, 8, 3, "fp32", False, False),
    XMMA32 + "tn_n_tilesize64x256x8_stage3_warpsize1x4x1_ffma_aligna4_alignc4_execute_split_k_kernel__5x_cublas": (
        64, 256, 8, 3, "fp32", True, False),
    XMMA32 + "nn_n_tilesize32x32x8_stage3_warpsize1x2x1_ffma_aligna4_alignc4_execute_kernel__5x_cublas": (
        32, 32, 8, 3, "fp32", False, False),
    XMMA32 + "tn_n_tilesize32x32x8_stage3_warpsize1x2x1_ffma_aligna4_alignc4_execute_kernel__5x_cublas": (
        32, 32, 8, 3, "fp32", False, False),
    XMMA32 + "tn_n_tilesize128x128x8_stage3_warpsize2x2x1_ffma_aligna4_alignc4_execute_kernel__5x_cublas": (
        128, 128, 8, 3, "fp32", False, False),
    XMMA32 + "tn_n_tilesize128x128x8_stage3_warpsize2x2x1_ffma_aligna4_alignc4_execute_split_k_kernel__5x_cublas": (
        128, 128, 8, 3, "fp32", True, False),
    XMMA32 + "tn_n_tilesize128x32x8_stage3_warpsize2x2x1_ffma_aligna4_alignc4_execute_kernel__5x_cublas": (
        128, 32, 8, 3, "fp32", False, False),
    "nvjet_tst_192x192_64x4_2x1_v_bz_coopB_bias_TNN": (192, 192, 64, 4, "bf16", False, False),
    "nvjet_tst_96x64_64x10_1x2_h_bz_bias_TNN": (96, 64, 64, 10, "bf16", False, False),
    "nvjet_tst_192x208_64x4_1x1_h_bz_coopB_bias_TNT": (192, 208, 64, 4, "bf16", False, False),
    "trt_ampere_h16816gemm_64x64_ldg8_relu_stages_64x5_tn_v1": (64, 64, 64, 5, "fp16", False, False),
    CONV + "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x128x32_stage4_warpsize2x2x1_g1_tensor16x8x16_t1r3s3_aACCESS"
    "_execute_kernel_trt": (128, 128, 32, 4, "fp16", False, False),
    CONV + "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x64x64_stage3_warpsize2x2x1_g1_tensor16x8x16_t1r3s3_aACCESS"
    "_execute_kernel_trt": (128, 64, 64, 3, "fp16", False, False),
    CONV + "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x128x32_stage4_warpsize2x2x1_g1_tensor16x8x16_t1r1s1"
    "_execute_kernel_trt": (128, 128, 32, 4, "fp16", False, False),
    CONV + "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize256x64x32_stage3_warpsize4x1x1_g1_tensor16x8x16_t1r3s3_aACCESS"
    "_execute_kernel_trt": (256, 64, 32, 3, "fp16", False, False),
    CONV + "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize256x64x32_stage3_warpsize4x1x1_g1_tensor16x8x16_t1r3s3"
    "_execute_kernel_trt": (256, 64, 32, 3, "fp16", False, False),
    CONV + "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x128x32_stage4_warpsize2x2x1_g1_tensor16x8x16"
    "_execute_kernel_trt": (128, 128, 32, 4, "fp16", False, False),
    CONV + "f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize256x128x32_stage3_warpsize4x2x1_g1_tensor16x8x16_t1r3s3"
    "_execute_kernel_trt": (256, 128, 32, 3, "fp16", False, False),
    CONV + "indexed_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize64x128x32_stage5_warpsize2x2x1_g1_tensor16x8x16"
    "_execute_kernel_trt": (64, 128, 32, 5, "fp16", False, False),
    CONV + "indexed_wo_smem_f16f16_f16f16_f16_nhwckrsc_nhwc_tilesize128x32x64_stage1_warpsize4x1x1_g1_tensor16x8x16"
    "_aligna8_alignc8_execute_kernel_trt": (128, 32, 64, 1, "fp16", False, False),
}  # fmt: skip


def told_of(names: list[str]) -> dict[str, Told]:
    given = [{"source_id": 0, "start_ns": 0, "end_ns": 1, "demangled_name": name} for name in names]
    rows = Catalogue(store_with({"kernels": given})).view("gemm_names").rows()
    return {str(name): tuple(rest) for name, *rest in rows}  # type: ignore[misc]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names(name: str) -> None:
    """Names as cuBLAS, CUTLASS, TensorRT and others publish them."""
    assert told_of([name]) == {name: PUBLISHED[name]}


def exports(real: Path) -> dict[Path, list[tuple[Any, ...]]]:
    """The kernels of every real export, read from the file itself: name, length, blocks along z."""
    found = {}
    for path in sorted((real / "nsys").glob("*.sqlite")):
        con = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
        con.text_factory = lambda raw: raw.decode("utf-8", "replace")
        if con.execute("SELECT 1 FROM sqlite_master WHERE name = 'CUPTI_ACTIVITY_KIND_KERNEL'").fetchone():
            found[path] = con.execute(
                "SELECT value, k.end - start, gridZ FROM CUPTI_ACTIVITY_KIND_KERNEL AS k "
                "JOIN StringIds ON id = demangledName"
            ).fetchall()
        con.close()
    return found


def test_real_names(real: Path) -> None:
    """Every GEMM name of the real exports, as read by eye; no other kernel is one."""
    names = sorted({name for kernels in exports(real).values() for name, *_ in kernels})
    assert len(names) > 100
    assert told_of(names) == REAL


def test_real_counts(real: Path, opened: Any, tmp_path: Path) -> None:
    """Kernels and time of each name are what the export's own table adds up to; where it says split-K, by slices."""
    (path,) = (real / "nsys").glob("torch_2xH100_fastvideo_1s*")
    expected: dict[tuple[str, int | None], list[int]] = {}
    for name, ns, z in exports(real)[path]:
        if name in REAL:
            both = expected.setdefault((name, z if "split_k" in name else None), [0, 0])
            both[0] += 1
            both[1] += ns
    (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = opened(tmp_path).query("gemm_tactics").to_dicts()
    found: dict[tuple[str, int | None], list[int]] = {}
    for row in rows:
        both = found.setdefault((row["kernel_name"], row["slices"]), [0, 0])
        both[0] += row["kernels"]
        both[1] += row["total_ns"]
    assert found == expected
    assert sum(n for (_, slices), (n, _) in found.items() if slices == 2) == 254  # read off the export: 240 and 14
    for place in {(row["pid"], row["device"]) for row in rows}:
        own = [row for row in rows if (row["pid"], row["device"]) == place]
        assert sum(row["share"] for row in own) == pytest.approx(1)
        assert sum(row["time_share"] for row in own) == pytest.approx(1)
