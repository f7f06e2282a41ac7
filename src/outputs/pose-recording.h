/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Poses of a stream into a file: one message a line. Main context. */
#pragma once

#include "stream.h"

typedef struct _SptPoseRecording SptPoseRecording;

/* It is over, because of @error; free it. */
typedef void (*SptPoseRecordingFailed) (
    SptPoseRecording *recording, const GError *error, gpointer data);

SptPoseRecording *spt_pose_recording_new (SptStream *stream, const char *directory,
    const char *name, SptPoseRecordingFailed failed, gpointer data, GError **error);
SptStream *spt_pose_recording_get_stream (SptPoseRecording *self);
const char *spt_pose_recording_get_session (SptPoseRecording *self);
const char *spt_pose_recording_get_name (SptPoseRecording *self);
guint64 spt_pose_recording_count (SptPoseRecording *self);
gint64 spt_pose_recording_since (SptPoseRecording *self);
void spt_pose_recordings_wait (void);
void spt_pose_recording_free (SptPoseRecording *self);
