import './styles/tokens.css';
import './styles/base.css';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { FeedProvider } from './data/feed.tsx';
import { DataProvider } from './data/provider.tsx';
import { applyTheme } from './frame/theme.ts';
import { router } from './router.tsx';

applyTheme();
createRoot(document.querySelector('#root') as Element).render(
  <StrictMode>
    <DataProvider>
      <FeedProvider>
        <RouterProvider router={router} />
      </FeedProvider>
    </DataProvider>
  </StrictMode>,
);
